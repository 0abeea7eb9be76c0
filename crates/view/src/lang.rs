//! Which language a page is in.

/// The cookie in which a browser keeps its choice.
pub const LANGUAGE_COOKIE: &str = "EARTAG_LANG";

/// The languages there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// 简体中文, simplified Chinese.
    Zh,
}

impl Lang {
    /// All of them, in the order of the switch.
    pub const ALL: [Lang; 2] = [Lang::En, Lang::Zh];

    /// The one that was asked for: by `?_lang=`, else by the cookie, else by `Accept-Language`.
    #[must_use]
    pub fn choose(query: &str, cookie: &str, accept_language: &str) -> Lang {
        Lang::parse(query).or_else(|| Lang::parse(cookie)).unwrap_or_else(|| Lang::accepted(accept_language))
    }

    /// The language of that name in URLs and cookies: `en` or `zh`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Lang> {
        Lang::ALL.into_iter().find(|lang| lang.name() == name)
    }

    /// Its name in URLs and cookies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    /// Its tag for `lang` attributes.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-CN",
        }
    }

    /// Its name in itself.
    #[must_use]
    pub fn own_name(self) -> &'static str {
        match self {
            Lang::En => "English",
            Lang::Zh => "简体中文",
        }
    }

    /// The best of `Accept-Language` (RFC 9110 §12.5.4). Without any that is known: English.
    fn accepted(header: &str) -> Lang {
        let mut best = (0.0, Lang::En);
        for item in header.split(',').take(32) {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight: f32 = parts
                .find_map(|part| part.trim().strip_prefix("q=").map(|q| q.trim().parse().unwrap_or(0.0)))
                .unwrap_or(1.0);
            let primary = tag.split('-').next().unwrap_or_default();
            // Of equal ones the first counts.
            if let Some(lang) = Lang::parse(primary)
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_known_language_is_taken() {
        for (header, lang) in [
            ("", Lang::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-GB,en;q=0.9,zh;q=0.8", Lang::En),
            ("de, zh-Hans;q=0.5, en;q=0.4", Lang::Zh),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("fr", Lang::En),
            ("*", Lang::En),
            ("zh;q=x,,;;q=1,en;q=NaN", Lang::En),
        ] {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }

    #[test]
    fn the_query_wins_over_the_cookie_and_the_cookie_over_the_header() {
        assert_eq!(Lang::choose("zh", "en", "en"), Lang::Zh);
        assert_eq!(Lang::choose("", "zh", "en"), Lang::Zh);
        assert_eq!(Lang::choose("xx", "yy", "zh"), Lang::Zh);
    }
}
