//! Reading a request: its first line, and which format it accepts. Pure functions over bytes.

use super::metric::Format;

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// The metrics in this format; without them where only the head was asked for.
    Metrics { format: Format, head_only: bool },
    /// Nothing, with this status.
    Refused(Status),
}

/// A status of HTTP that is not 200, and its words.
pub(super) type Status = (u16, &'static str);

pub(super) const BAD_REQUEST: Status = (400, "Bad Request");
pub(super) const NOT_FOUND: Status = (404, "Not Found");
pub(super) const METHOD_NOT_ALLOWED: Status = (405, "Method Not Allowed");
pub(super) const REQUEST_TIMEOUT: Status = (408, "Request Timeout");
pub(super) const TOO_LARGE: Status = (431, "Request Header Fields Too Large");
pub(super) const INTERNAL_ERROR: Status = (500, "Internal Server Error");
pub(super) const VERSION_NOT_SUPPORTED: Status = (505, "HTTP Version Not Supported");

/// Where the head ends, if it does: after an empty line.
pub(super) fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends_at = |end: &[u8]| bytes.windows(end.len()).position(|window| window == end).map(|at| at + end.len());
    [ends_at(b"\r\n\r\n"), ends_at(b"\n\n")].into_iter().flatten().min()
}

/// Reads a head.
pub(super) fn parse(head: &[u8]) -> Request {
    let Ok(head) = std::str::from_utf8(head) else { return Request::Refused(BAD_REQUEST) };
    let mut lines = head.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Request::Refused(BAD_REQUEST) };
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) || !version.starts_with("HTTP/") {
        return Request::Refused(BAD_REQUEST);
    }
    if !["HTTP/1.1", "HTTP/1.0"].contains(&version) {
        return Request::Refused(VERSION_NOT_SUPPORTED);
    }
    if path(target) != Some("/metrics") {
        return Request::Refused(NOT_FOUND);
    }
    if !["GET", "HEAD"].contains(&method) {
        return Request::Refused(METHOD_NOT_ALLOWED);
    }
    let accepted = lines.filter_map(|line| line.split_once(':'));
    let accepted = accepted.filter(|(name, _)| name.eq_ignore_ascii_case("accept")).map(|(_, value)| value);
    Request::Metrics { format: format(accepted), head_only: method == "HEAD" }
}

/// The path, without what is asked of it; a proxy sends it with the host before it (RFC 9112, 3.2.2).
fn path(target: &str) -> Option<&str> {
    let target = match target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/')?..],
        None => target,
    };
    target.split(['?', '#']).next()
}

/// OpenMetrics for who asks for it, and does not like the other better. Not for who takes anything, as browsers do.
fn format<'a>(accepted: impl Iterator<Item = &'a str>) -> Format {
    let (mut newer, mut older) = (0.0_f32, 0.0_f32);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
        let quality = quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0);
        match kind.as_str() {
            "application/openmetrics-text" => newer = newer.max(quality),
            "text/plain" => older = older.max(quality),
            _ => {}
        }
    }
    if newer > 0.0 && newer >= older { Format::OpenMetrics } else { Format::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> Request {
        parse(format!("GET /metrics HTTP/1.1\r\nHost: a\r\naCCept: {value}\r\n\r\n").as_bytes())
    }

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        // Prometheus 2.42 and 3.4, curl and a browser, and some who say what they think.
        for (value, format) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus),
            ("text/plain, application/openmetrics-text; q=0.9", Format::Prometheus),
            ("application/openmetrics-text; q=0", Format::Prometheus),
            ("application/openmetrics-text; q=NaN", Format::Prometheus),
            ("application/openmetrics-text; q=7, text/plain; q=0.1", Format::Prometheus),
            ("", Format::Prometheus),
        ] {
            assert_eq!(accept(value), Request::Metrics { format, head_only: false }, "{value}");
        }
    }

    #[test]
    fn what_is_no_request_for_metrics_is_refused() {
        let metrics = |head_only| Request::Metrics { format: Format::Prometheus, head_only };
        for (line, answer) in [
            ("GET /metrics HTTP/1.1", metrics(false)),
            ("HEAD /metrics?x=1 HTTP/1.0", metrics(true)),
            ("GET http://h:1/metrics HTTP/1.1", metrics(false)),
            ("GET / HTTP/1.1", Request::Refused(NOT_FOUND)),
            ("GET http://h HTTP/1.1", Request::Refused(NOT_FOUND)),
            ("GET /metrics/../x HTTP/1.1", Request::Refused(NOT_FOUND)),
            ("POST /metrics HTTP/1.1", Request::Refused(METHOD_NOT_ALLOWED)),
            ("PRI * HTTP/2.0", Request::Refused(VERSION_NOT_SUPPORTED)),
            ("GET /metrics", Request::Refused(BAD_REQUEST)),
            ("GET  /metrics HTTP/1.1", Request::Refused(BAD_REQUEST)),
            ("get /metrics HTTP/1.1", Request::Refused(BAD_REQUEST)),
            ("\u{16}\u{3}\u{1}", Request::Refused(BAD_REQUEST)),
            ("", Request::Refused(BAD_REQUEST)),
        ] {
            assert_eq!(parse(format!("{line}\r\n\r\n").as_bytes()), answer, "{line}");
        }
        assert_eq!(parse(b"GET /\xff HTTP/1.1\r\n\r\n"), Request::Refused(BAD_REQUEST));
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\n\r\nmore\n\n"), Some(18));
        assert_eq!(end_of_head(b"a\n\n"), Some(3));
        assert_eq!(end_of_head(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
    }
}
