//! Which keys of a `.claude.json` belong to the account, and which are the person's own. The lists are the client's
//! (read in its own tables, and seen written); what is not listed is decided with care: it may come from the base, and
//! never goes back.

/// Where the value of a top-level key may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Stays where it is, in both directions.
    Private,
    /// Every account gets it as `true` when it lacks it; otherwise it stays where it is.
    Seeded,
    /// The person's own: from the base to the account, and back where settings flow both ways.
    Preference,
    /// Not known: from the base to the account alone. What an account makes up may be about that account.
    Unlisted,
}

/// How a row matches a key, letter case and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This very key.
    Is(&'static str),
    /// Any key that starts like this.
    Starts(&'static str),
    /// Any key that starts like the first and ends like the second.
    Between(&'static str, &'static str),
    /// Any key with this in it, whatever its letter case; written in lower case here.
    Has(&'static str),
}

impl Pattern {
    fn matches(self, key: &str) -> bool {
        match self {
            Self::Is(text) => key == text,
            Self::Starts(text) => key.starts_with(text),
            Self::Between(start, end) => {
                key.len() >= start.len() + end.len() && key.starts_with(start) && key.ends_with(end)
            }
            Self::Has(text) => {
                let holds = |w: &[u8]| w.eq_ignore_ascii_case(text.as_bytes());
                key.as_bytes().windows(text.len()).any(holds)
            }
        }
    }
}

/// Rows with one reason in common.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// Why.
    pub reason: &'static str,
    /// Where these keys may go.
    pub sharing: Sharing,
    /// Which keys.
    pub keys: &'static [Pattern],
}

use Pattern::{Between, Has, Is, Starts};

/// The whole table: the first row that matches decides.
pub const KEYS: &[Group] = &[
    Group {
        reason: "who the account is; a copy would send one account's id with another's token",
        sharing: Sharing::Private,
        keys: &[
            Is("oauthAccount"),
            Is("userID"),
            Is("anonymousId"),
            Is("machineID"),
            Is("primaryApiKey"),
            Is("customApiKeyResponses"),
        ],
    },
    Group {
        reason: "taken apart: only some keys of each project cross",
        sharing: Sharing::Private,
        keys: &[Is("projects")],
    },
    Group {
        reason: "overrides the login or acts on the account, although the client lists it as a preference",
        sharing: Sharing::Private,
        keys: &[
            Is("apiKeyHelper"),
            Is("remoteControlAtStartup"),
            Is("autoUploadSessions"),
            Is("autoAddRemoteControlDaemonWorker"),
            Is("remoteDialogSeen"),
        ],
    },
    Group {
        reason: "what the service said about this account",
        sharing: Sharing::Private,
        keys: &[
            Is("hasAvailableSubscription"),
            Starts("additionalModel"),
            Starts("clientData"),
            Starts("metricsStatus"),
            Starts("orgModelDefault"),
            Is("firstWeek"),
            Is("startupPrefetchedAt"),
            Is("artifactRosterDenied"),
            Is("managedSettingsNoticeSeenOrg"),
            Is("trainingConsentSettledAt"),
            Is("lastSeenOrgDefaultUpdatedAt"),
            Is("promoCreditCheck"),
            Is("penguinModeOrgEnabled"),
            Starts("groveConfig"),
            Is("hostBootstrapSeed"),
            Is("claudeAiMcpEverConnected"),
            Is("gzipRequestBodiesLatchedOff"),
            Is("feedbackRefusedByServer"),
            Is("closedIssuesLastChecked"),
            Between("subscription", "Count"),
            Between("passes", "Count"),
            Between("fullscreen", "Count"),
        ],
    },
    Group {
        reason: "counters and marks of this config directory",
        sharing: Sharing::Private,
        keys: &[
            Is("numStartups"),
            Is("firstStartTime"),
            Is("firstStartVersion"),
            Is("hasResetAutoModeOptInForDefaultOffer"),
            Is("pluginUsage"),
            Is("skillUsage"),
            Is("memoryUsageCount"),
            Is("promptQueueUseCount"),
            Is("btwUseCount"),
            Is("tipsHistory"),
            Is("tipLifetimeShownCounts"),
            Is("tipsHistoryByCommand"),
            Is("seenNotifications"),
            Is("announcementImpressions"),
            Is("lastReleaseNotesSeen"),
            Is("lastClawdEntranceVersion"),
            Starts("officialMarketplaceAutoInstall"),
            Is("installMethod"),
        ],
    },
    Group {
        reason: "without it the first start in a fresh directory asks, or a dialog swallows a prompt",
        sharing: Sharing::Seeded,
        keys: &[Is("hasCompletedOnboarding"), Is("resumeReturnDismissed")],
    },
    Group {
        reason: "by its name a cache, or a mark of what was converted here",
        sharing: Sharing::Private,
        keys: &[Has("cache"), Has("migration")],
    },
    Group {
        reason: "by its name about a login, should a later client keep one under a new key",
        sharing: Sharing::Private,
        keys: &[
            Has("oauth"),
            Has("account"),
            Has("credential"),
            Has("token"),
            Has("apikey"),
            Has("userid"),
            Has("organization"),
            Has("subscription"),
        ],
    },
    Group {
        reason: "how the person likes to work, whichever account it is",
        sharing: Sharing::Preference,
        keys: PREFERENCES,
    },
];

const PREFERENCES: &[Pattern] = &[
    Is("agentPushNotifEnabled"),
    Is("autoCompactEnabled"),
    Is("autoConnectIde"),
    Is("autoInstallIdeExtension"),
    Is("autoScrollEnabled"),
    Is("autoUpdates"),
    Is("autoUpdatesProtectedForNative"),
    Is("briefTranscript"),
    Is("bypassPermissionsModeAccepted"),
    Is("claudeInChromeDefaultEnabled"),
    Is("copyFullResponse"),
    Is("copyOnSelect"),
    Is("defaultToAgentsView"),
    Is("diffSidebarOpen"),
    Is("diffTool"),
    Is("editorMode"),
    Is("env"),
    Is("externalEditorContext"),
    Is("fileCheckpointingEnabled"),
    Is("hasAcknowledgedCostThreshold"),
    Is("hasCompletedClaudeInChromeOnboarding"),
    Is("hasUsedBackslashReturn"),
    Is("inputNeededNotifEnabled"),
    Is("lastOnboardingVersion"),
    Is("leftArrowOpensAgents"),
    Is("lspRecommendationDisabled"),
    Is("lspRecommendationNeverPlugins"),
    Is("mcpServers"),
    Is("messageIdleNotifThresholdMs"),
    Is("prStatusFooterEnabled"),
    Is("preferredNotifChannel"),
    Is("respectGitignore"),
    Is("shiftEnterKeyBindingInstalled"),
    Is("showExpandedTodos"),
    Is("showMessageTimestamps"),
    Is("showStatusInTerminalTab"),
    Is("showTurnDuration"),
    Is("taskCompleteNotifEnabled"),
    Is("terminalProgressBarEnabled"),
    Is("theme"),
    Is("todoFeatureEnabled"),
    Is("verbose"),
    Is("workflowSizeGuideline"),
];

/// The keys that every account has as `true`.
pub const SEEDS: [&str; 2] = ["hasCompletedOnboarding", "resumeReturnDismissed"];

/// What crosses of a project: trust, approvals and the servers that the person set up for it. All else in a project
/// counts what one account did there.
pub const PROJECT_KEYS: [&str; 6] = [
    "hasTrustDialogAccepted",
    "hasClaudeMdExternalIncludesApproved",
    "hasClaudeMdExternalIncludesWarningShown",
    "mcpServers",
    "enabledMcpjsonServers",
    "disabledMcpjsonServers",
];

/// Decides for one top-level key.
#[must_use]
pub fn sharing(key: &str) -> Sharing {
    KEYS.iter()
        .find(|group| group.keys.iter().any(|p| p.matches(key)))
        .map_or(Sharing::Unlisted, |group| group.sharing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Sharing::{Preference, Private, Seeded, Unlisted};

    #[test]
    fn keys_fall_where_the_evidence_puts_them() {
        let rows = [
            ("oauthAccount", Private),
            ("projects", Private),
            ("cachedUsageUtilization", Private),
            ("cachedGrowthBookFeaturesAt", Private),
            ("sonnet1m45MigrationComplete", Private),
            ("migrationVersion", Private),
            ("someNewCache", Private),
            ("CACHEthing", Private),
            ("subscriptionNoticeCount", Private),
            ("subscriptionColour", Private),
            ("newOauthState", Private),
            ("fullscreenMode", Unlisted),
            ("apiKeyHelper", Private),
            ("hasCompletedOnboarding", Seeded),
            ("resumeReturnDismissed", Seeded),
            ("theme", Preference),
            ("mcpServers", Preference),
            ("Theme", Unlisted),
            ("somethingNew", Unlisted),
            ("", Unlisted),
        ];
        for (key, expected) in rows {
            assert_eq!(sharing(key), expected, "{key}");
        }
        assert!(SEEDS.iter().all(|key| sharing(key) == Seeded));
    }

    #[test]
    fn every_row_can_be_reached() {
        for group in KEYS {
            for pattern in group.keys {
                let key = match pattern {
                    Is(text) | Starts(text) | Has(text) => (*text).to_owned(),
                    Between(start, end) => format!("{start}{end}"),
                };
                assert_eq!(sharing(&key), group.sharing, "{key}");
            }
        }
    }
}
