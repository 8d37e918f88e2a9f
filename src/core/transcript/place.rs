//! Where claude keeps the transcripts of a directory.

/// The longest name, in UTF-16 units, that is used as it is.
const MAX_UNITS: usize = 200;

/// The directory below `projects/` for a working directory: every character that is no ASCII letter or digit becomes a
/// dash, and a long name is cut and given a hash of the whole path (checked against claude 2.1.329).
///
/// It cannot be turned back: two paths may share a directory. A session's own records say which directory it is of.
#[must_use]
pub fn project_dir_name(cwd: &str) -> String {
    let name: String = cwd
        .encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
            _ => '-',
        })
        .collect();
    if name.len() <= MAX_UNITS {
        return name;
    }
    format!("{}-{}", &name[..MAX_UNITS], in_base_36(hash(cwd)))
}

/// The hash that Java gave its strings, of the UTF-16 units, without its sign.
fn hash(text: &str) -> u32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    text.encode_utf16().fold(0, step).unsigned_abs()
}

fn in_base_36(mut number: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
