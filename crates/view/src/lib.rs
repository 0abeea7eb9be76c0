//! The API view: pages made from the documents of `/v3` and the schemas of their types. No IO, no clock, no token.
