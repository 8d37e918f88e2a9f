//! The words of the protocol: fields whose value is one of a few.

use serde::{Deserialize, Serialize};

/// An enum with its words on the wire.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// Their words, for messages.
            pub const WORDS: &'static str = concat!($("|", $text,)+);

            /// Its word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The one that this word means.
            #[must_use]
            pub fn of(word: &str) -> Option<Self> {
                match word { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// How a session is.
    Status {
        /// It waits for a slot.
        Queued = "queued",
        /// It is loaded and takes a prompt.
        Idle = "idle",
        /// It works on a prompt.
        Processing = "processing",
        /// It is in no slot and can be resumed.
        Offloaded = "offloaded",
        /// It could not be loaded three times in a row.
        Error = "error",
        /// It is hidden, and removed 30 days after that.
        Archived = "archived",
    }
}

words! {
    /// How a slot is.
    SlotState {
        /// It runs, and no session is in it.
        Fresh = "fresh",
        /// Its process starts.
        Spawning = "spawning",
        /// A session is being loaded into it.
        Resuming = "resuming",
        /// Its session is being taken out.
        Clearing = "clearing",
        /// Its session waits for a prompt.
        Idle = "idle",
        /// Its session works.
        Processing = "processing",
        /// Its process died; another one follows.
        Crashed = "crashed",
    }
}

words! {
    /// Where content is read.
    #[derive(Default)]
    Source {
        /// The transcript.
        #[default]
        Jsonl = "jsonl",
        /// The rendered terminal.
        Buffer = "buffer",
    }
}

words! {
    /// How much of each turn is shown.
    #[derive(Default)]
    Detail {
        /// The prompt and the last entry of the assistant that has text.
        #[default]
        Last = "last",
        /// The prompt and every entry of the assistant that has text, without tool calls.
        Assistant = "assistant",
        /// Every entry of the user and the assistant.
        Tools = "tools",
        /// The lines as they are.
        Raw = "raw",
    }
}

words! {
    /// How much of a session is shown.
    #[derive(Default)]
    Verbosity {
        /// What is not usual.
        #[default]
        Flat = "flat",
        /// The same, with children.
        Nested = "nested",
        /// Everything.
        Full = "full",
    }
}
