//! Whether the text that claude reports is the one that was typed: it changes white space, drops what cannot be seen and
//! composes accents, so that two texts are the same when what is left of them without all that is.

/// Whether claude's text is what became of ours.
#[must_use]
pub fn is_same(ours: &str, theirs: &str) -> bool {
    ours == theirs || essence(ours).eq(essence(theirs))
}

/// Whether what stands in the box can be a piece of our own text, typed in part or shown in part.
#[must_use]
pub fn is_part(ours: &str, shown: &str) -> bool {
    let ours: String = essence(ours).collect();
    let shown: String = essence(shown).collect();
    ours.contains(&shown)
}

/// The visible ASCII characters that are not the base of an accent, and whatever else cannot be composed.
fn essence(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let char = rest.next()?;
            let accented = rest.peek().is_some_and(|next| is_accent(*next));
            let plain = char.is_ascii_graphic() || !may_change(char);
            if plain && !accented && !char.is_whitespace() && !char.is_control() {
                return Some(char);
            }
        }
    })
}

const fn is_accent(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}')
}

/// Characters that composing, or dropping the invisible, may change: letters with accents, marks, joiners and
/// compatibility forms. What is left (plain Cyrillic, CJK, emoji) stays as it is.
const fn may_change(char: char) -> bool {
    let plain_cyrillic =
        matches!(char, '\u{410}'..='\u{44f}') && !matches!(char, '\u{419}' | '\u{439}');
    let composed = matches!(
        char,
        '\u{80}'..='\u{206f}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{2100}'..='\u{214f}'
            | '\u{3040}'..='\u{30ff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{e000}'..='\u{faff}'
            | '\u{fb00}'..='\u{fb4f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    composed && !plain_cyrillic
}

#[cfg(test)]
mod tests {
    use super::{is_part, is_same};

    #[test]
    fn a_piece_of_a_text_is_part_of_it() {
        assert!(is_part("a longer text\nof two lines", "longer text of"));
        assert!(is_part("do it", "do it") && is_part("do it", ""));
        assert!(!is_part("do it", "do it not"));
    }

    #[test]
    fn what_claude_does_to_a_text_leaves_it_the_same() {
        let rows = [
            ("do it", "do it", true),
            ("do it\n", "do it", true),
            ("a\tb", "a    b", true),
            ("a\r\nb", "a\nb", true),
            ("cafe\u{301} noir", "café noir", true),
            ("x\u{1}y", "xy", true),
            ("👩\u{200d}💻 ok", "👩💻 ok", true),
            ("漢字", "漢字", true),
            ("漢字", "漢", false),
            ("мой дом", "мои\u{306} дом", true),
            ("мой дом", "мой сад", false),
            ("do it", "do that", false),
            ("do it 1", "do it 2", false),
            ("", "x", false),
        ];
        for (ours, theirs, expected) in rows {
            assert_eq!(is_same(ours, theirs), expected, "{ours:?} {theirs:?}");
        }
    }
}
