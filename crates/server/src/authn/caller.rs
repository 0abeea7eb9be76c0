//! Who sent a request, and how they showed it. Kinds find this in `Cx::facts`.

use std::net::IpAddr;
use std::sync::Arc;

use eartag_api::meta::Uid;
use eartag_apiserver::user::UserInfo;
use eartag_core::verifier::Accepted;

/// The extra that carries the name of the token a request came with (DEC15).
pub const TOKEN_ID: &str = "requesttokenid";
/// The extra that carries the host a request was sent to.
pub const HOST: &str = "requesthost";
/// The extra that carries the principal's name.
pub const PRINCIPAL: &str = "principalid";
/// The extra that carries the login name.
pub const USERNAME: &str = "username";
/// The group of everybody who is a user of ours.
pub const CATTLE_AUTHENTICATED: &str = "system:cattle:authenticated";

/// The name of nobody, as in Kubernetes.
const ANONYMOUS: &str = "system:anonymous";

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The identity that counts, after impersonation.
    pub user: UserInfo,
    /// How the real caller showed who they are.
    pub credential: Option<CallerCredential>,
    /// The real caller, where `user` is somebody else.
    pub impersonator: Option<Impersonator>,
    /// Whether the credential was a cookie, which browsers send on their own.
    pub via_cookie: bool,
    /// Where the request came from; behind a trusted proxy what that says.
    pub address: IpAddr,
}

/// Who acts as somebody else.
#[derive(Clone, Debug)]
pub struct Impersonator {
    /// The real caller.
    pub user: UserInfo,
    /// The very user of ours as whom they act; other names are nobody's.
    pub acting_as: Option<Uid>,
}

/// What a caller presented.
#[derive(Clone, Debug)]
pub enum CallerCredential {
    /// A token that the verifier accepted.
    Token(Arc<Accepted>),
    /// The word of the cluster that we extend: its front proxy's, or a certificate of its authority. It names the user and is no login of theirs (DEC15).
    Cluster {
        /// The user of ours who has that name.
        owner: Option<(String, Uid)>,
        /// The good token of theirs that the cluster says it was shown.
        token: Option<Arc<Accepted>>,
    },
    /// A client certificate of ours.
    Certificate {
        /// The subject's common name.
        common_name: String,
        /// SHA-256 of the certificate, in hexadecimal.
        fingerprint: String,
        /// Whether the common name is a user of ours: then this is a direct login of that user (DEC15).
        is_user: bool,
    },
}

impl Caller {
    /// The token that the request itself carried, whoever it acts as.
    #[must_use]
    pub fn token(&self) -> Option<&Accepted> {
        match &self.credential {
            Some(CallerCredential::Token(accepted)) => Some(accepted),
            _ => None,
        }
    }

    /// Whether the request came with a token that is restricted to a cluster, whoever it acts as.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        self.token().is_some_and(|token| !token.cluster.is_empty())
    }

    /// The token of the very user that the request acts as, without impersonation.
    #[must_use]
    pub fn own_token(&self) -> Option<&Accepted> {
        self.token().filter(|token| self.impersonator.is_none() && token.owner == self.user.name)
    }

    /// Whether this is a direct login, by client certificate, of the very user that the request acts as.
    #[must_use]
    pub fn is_certificate_login(&self) -> bool {
        self.impersonator.is_none()
            && matches!(
                &self.credential,
                Some(CallerCredential::Certificate { is_user: true, common_name, .. }) if *common_name == self.user.name
            )
    }

    /// Whether the cluster that we extend vouches for the caller: then its rules decide, not ours.
    #[must_use]
    pub fn is_of_the_cluster(&self) -> bool {
        matches!(self.credential, Some(CallerCredential::Cluster { .. }))
    }

    /// Who really asks: the impersonator if there is one.
    #[must_use]
    pub fn real(&self) -> &UserInfo {
        self.impersonator.as_ref().map_or(&self.user, |impersonator| &impersonator.user)
    }

    /// Nobody, from there: for what is public.
    #[must_use]
    pub fn anonymous(address: IpAddr) -> Caller {
        let user = UserInfo {
            name: ANONYMOUS.to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..UserInfo::default()
        };
        Caller { user, credential: None, impersonator: None, via_cookie: false, address }
    }

    /// A caller without a credential.
    #[cfg(test)]
    pub(crate) fn test(name: &str) -> Caller {
        Caller {
            user: UserInfo { name: name.to_owned(), ..UserInfo::default() },
            credential: None,
            impersonator: None,
            via_cookie: false,
            address: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        }
    }
}
