//! Headers that say who sends.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Credentials;
use crate::config::{Auth, Http, Secret, headers};
use crate::error::Error;

/// Names in lower case, and values, which no message may show.
pub(super) fn headers_of(
    http: &Http,
    credentials: Credentials,
) -> Result<Vec<(String, String)>, Error> {
    Ok(match credentials {
        Credentials::None => Vec::new(),
        Credentials::Standard => standard(http)?,
        Credentials::Otlp => otlp(http)?,
        Credentials::DatadogKey => {
            let key = http.datadog_key.as_ref().map(|source| source.read()).transpose()?;
            let key =
                key.ok_or_else(|| Error::invalid("no API key: set SONDAGE_DATADOG_KEY_FILE"))?;
            vec![("dd-api-key".to_owned(), key.expose().to_owned())]
        }
    })
}

fn standard(http: &Http) -> Result<Vec<(String, String)>, Error> {
    let authorization = authorization(&http.auth)?.map(|value| ("authorization".to_owned(), value));
    let tenant = http.tenant.clone().map(|tenant| ("x-scope-orgid".to_owned(), tenant));
    Ok(authorization.into_iter().chain(tenant).collect())
}

fn otlp(http: &Http) -> Result<Vec<(String, String)>, Error> {
    let mut all = standard(http)?;
    if let Some(source) = &http.otlp_headers {
        let own = headers(source.read()?.expose()).map_err(|allowed| {
            Error::invalid(format!("the file of headers for OTLP: allowed: {allowed}"))
        })?;
        for (name, value) in own {
            let name = name.to_ascii_lowercase();
            all.retain(|(other, _)| *other != name);
            all.push((name, value));
        }
    }
    Ok(all)
}

fn authorization(auth: &Auth) -> Result<Option<String>, Error> {
    let bearer = |token: &Secret| format!("Bearer {}", token.expose());
    let basic = |pair: &Secret| format!("Basic {}", STANDARD.encode(pair.expose()));
    Ok(match auth {
        Auth::None => None,
        Auth::Token(token) => Some(bearer(token)),
        Auth::TokenFile(path) => Some(bearer(&Secret::read(path)?)),
        Auth::Basic(pair) => Some(basic(pair)),
        Auth::BasicFile(path) => Some(basic(&Auth::read_basic(path)?)),
    })
}
