//! Lengths of time as they are typed (`1m30s`, `500ms`) and as `micro status` shows them (`20h43m45s`).

use std::time::Duration;

/// Reads numbers with units: `ns`, `us`, `ms`, `s`, `m`, `h`; fractions are allowed. None if it is not that.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match rest.get(..end)? {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = rest.get(end..)?;
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

/// Days, hours, minutes and seconds; units of zero are left out in front.
pub(crate) fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [
        (seconds / 86_400, 'd'),
        (seconds / 3600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let mut text = String::new();
    for (count, unit) in units {
        if count > 0 || !text.is_empty() || unit == 's' {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

/// With its fractions, as Go prints a duration: `1h1m1s`, `1.5s`, `250ms`, `0s`.
pub(crate) fn exact(duration: Duration) -> String {
    let nanos = duration.subsec_nanos();
    if duration.as_secs() == 0 && nanos > 0 {
        let (size, unit) = match nanos {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{}{unit}", decimal(nanos / size, nanos % size, size));
    }
    let seconds = duration.as_secs();
    let rest = decimal(
        u32::try_from(seconds % 60).unwrap_or_default(),
        nanos,
        1_000_000_000,
    );
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// `whole` and `part` of `size`, a power of ten, without zeros at the end.
fn decimal(whole: u32, part: u32, size: u32) -> String {
    if part == 0 {
        return whole.to_string();
    }
    let digits = usize::try_from(size.ilog10()).unwrap_or_default();
    let fraction = format!("{part:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// About how long it is until then, as people say it: `8 seconds from now`.
pub(crate) fn from_now(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const WEEK: u64 = 7 * DAY;
    const MONTH: u64 = 30 * DAY;
    const YEAR: u64 = 12 * MONTH;
    let seconds = duration.as_secs();
    let (size, unit) = match seconds {
        0 => return "now".to_owned(),
        1..MINUTE => (1, "second"),
        MINUTE..HOUR => (MINUTE, "minute"),
        HOUR..DAY => (HOUR, "hour"),
        DAY..WEEK => (DAY, "day"),
        WEEK..MONTH => (WEEK, "week"),
        MONTH..YEAR => (MONTH, "month"),
        _ => (YEAR, "year"),
    };
    let count = seconds / size;
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{many} from now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("0", 0),
            ("5s", 5000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "s", "5 s", "-5s", "1.2.3s", "5x", "abc"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_shown() {
        for (seconds, text) in [
            (0, "0s"),
            (1, "1s"),
            (60, "1m0s"),
            (74_625, "20h43m45s"),
            (86_400, "1d0h0m0s"),
        ] {
            assert_eq!(show(Duration::from_secs(seconds)), text);
        }
    }
    #[test]
    fn exact_durations_are_shown() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (61_000_000_000, "1m1s"),
            (3_600_000_000_000, "1h0m0s"),
            (90_061_050_000_000, "25h1m1.05s"),
        ] {
            assert_eq!(exact(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn the_time_until_then_is_about() {
        for (seconds, text) in [
            (0, "now"),
            (1, "1 second from now"),
            (8, "8 seconds from now"),
            (119, "1 minute from now"),
            (7_200, "2 hours from now"),
            (86_400, "1 day from now"),
            (1_209_600, "2 weeks from now"),
            (5_184_000, "2 months from now"),
            (63_072_000, "2 years from now"),
        ] {
            assert_eq!(from_now(Duration::from_secs(seconds)), text);
        }
    }
}
