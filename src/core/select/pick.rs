//! One account out of many, and why.

use super::pin::{self, Past, Pin};
use super::score::{Assessment, Candidate, Tier, assess};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::cmp::Ordering;

/// What a launch asks for.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// The account the person names; overrides pins and ranking.
    pub forced: Option<AccountId>,
    /// The past of the directory launched from.
    pub past: Past,
    /// The model the launch will use, where known.
    pub model: Option<&'a str>,
    /// The accounts that a rule lets serve here, where one binds: nobody else is even ranked.
    pub allowed: Option<&'a [AccountId]>,
}

impl Request<'_> {
    fn allows(&self, id: AccountId) -> bool {
        self.allowed.is_none_or(|allowed| allowed.contains(&id))
    }
}

/// Why this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The person named it.
    Forced,
    /// A manual pin of this directory.
    PinnedManual,
    /// Used here within the hour, and still fit to serve.
    PinnedAuto,
    /// The highest score among several available.
    Emptiest,
    /// No other account is available.
    OnlyAvailable,
    /// None has headroom; this one is the best of the full ones.
    FallbackExhausted,
    /// All were refused by the plan limit; this one's limit ends first.
    FallbackRateLimited,
}

impl Reason {
    /// The name in leases and JSON output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::PinnedManual => "pinned",
            Self::PinnedAuto => "reused",
            Self::Emptiest => "emptiest",
            Self::OnlyAvailable => "only_available",
            Self::FallbackExhausted => "fallback_exhausted",
            Self::FallbackRateLimited => "fallback_rate_limited",
        }
    }

    /// Whether the account has no headroom and was taken for want of a better one.
    #[must_use]
    pub const fn is_fallback(self) -> bool {
        matches!(self, Self::FallbackExhausted | Self::FallbackRateLimited)
    }
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Pick {
    /// The account to use.
    pub id: AccountId,
    /// Why.
    pub reason: Reason,
    /// What the pins of the directory had to say.
    pub pin: Pin,
    /// Every candidate that may serve here, best first.
    pub ranking: Vec<Assessment>,
}

impl Pick {
    /// The assessment of the account that was picked.
    #[must_use]
    pub fn assessment(&self) -> &Assessment {
        self.ranking
            .iter()
            .find(|a| a.id == self.id)
            .expect("a pick comes out of its own ranking")
    }

    /// The best account that was not picked.
    #[must_use]
    pub fn runner_up(&self) -> Option<&Assessment> {
        self.ranking.iter().find(|a| a.id != self.id)
    }
}

/// Why nothing can be picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There are no accounts, or none of them may serve here.
    NoAccounts,
    /// Every account needs a sign-in first.
    AllNeedLogin,
    /// The account the person named needs a sign-in first.
    ForcedNeedsLogin(AccountId),
    /// The account the person named does not exist.
    ForcedUnknown(AccountId),
    /// The account the person named may not serve here.
    ForcedBarred(AccountId),
}

/// Best first: tier, then score, then the earlier five-hour reset (unknown last), then the lower id.
#[must_use]
pub fn compare(a: &Assessment, b: &Assessment) -> Ordering {
    let reset = |x: &Assessment| x.resets_5h.map_or(i64::MAX, Timestamp::unix_ms);
    a.tier
        .cmp(&b.tier)
        .then_with(|| {
            if a.tier == Tier::RateLimited {
                ends(a).cmp(&ends(b))
            } else {
                Ordering::Equal
            }
        })
        .then_with(|| b.score.total_cmp(&a.score))
        .then_with(|| reset(a).cmp(&reset(b)))
        .then_with(|| a.id.cmp(&b.id))
}

/// When an account can serve again; unknown last.
fn ends(a: &Assessment) -> i64 {
    a.serves_again_at.map_or(i64::MAX, Timestamp::unix_ms)
}

/// Assesses and orders every candidate, best first.
#[must_use]
pub fn rank(candidates: &[Candidate], model: Option<&str>, now: Timestamp) -> Vec<Assessment> {
    let mut ranking: Vec<_> = candidates.iter().map(|c| assess(c, model, now)).collect();
    ranking.sort_by(compare);
    ranking
}

/// Picks one account. Never one that needs a login; an exhausted or rate-limited one only when none is available.
pub fn pick(
    candidates: &[Candidate],
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Pick, NoPick> {
    let mut ranking = rank(candidates, request.model, now);
    let exists = |id: AccountId| candidates.iter().any(|c| c.id == id);
    if let Some(id) = request
        .forced
        .filter(|id| exists(*id) && !request.allows(*id))
    {
        return Err(NoPick::ForcedBarred(id));
    }
    ranking.retain(|a| request.allows(a.id));
    let pin = match request.past.manual {
        Some(id) if exists(id) && !request.allows(id) => Pin::Barred(id),
        _ => pin::resolve(&habits(request), &ranking),
    };
    let (id, reason) = decide(&ranking, request.forced, pin)?;
    Ok(Pick {
        id,
        reason,
        pin,
        ranking,
    })
}

/// The past of the directory as far as it bears on who may serve there: the habit of somebody else is none.
fn habits(request: &Request<'_>) -> Past {
    Past {
        auto: request.past.auto.filter(|id| request.allows(*id)),
        ..request.past
    }
}

fn decide(
    ranking: &[Assessment],
    forced: Option<AccountId>,
    pin: Pin,
) -> Result<(AccountId, Reason), NoPick> {
    if let Some(id) = forced {
        return match ranking.iter().find(|a| a.id == id) {
            None => Err(NoPick::ForcedUnknown(id)),
            Some(a) if a.tier == Tier::NeedsLogin => Err(NoPick::ForcedNeedsLogin(id)),
            Some(_) => Ok((id, Reason::Forced)),
        };
    }
    match pin {
        Pin::Manual(id) => return Ok((id, Reason::PinnedManual)),
        Pin::Auto(id) => return Ok((id, Reason::PinnedAuto)),
        Pin::Free | Pin::Bypassed(_) | Pin::Barred(_) | Pin::Abandoned(_) | Pin::Beside(_) => {}
    }
    let best = ranking.first().ok_or(NoPick::NoAccounts)?;
    let others = ranking.iter().filter(|a| a.available()).count() > 1;
    match best.tier {
        Tier::Available if others => Ok((best.id, Reason::Emptiest)),
        Tier::Available => Ok((best.id, Reason::OnlyAvailable)),
        Tier::Exhausted => Ok((best.id, Reason::FallbackExhausted)),
        Tier::RateLimited => Ok((best.id, Reason::FallbackRateLimited)),
        Tier::NeedsLogin => Err(NoPick::AllNeedLogin),
    }
}

/// The earliest instant at which some account will have headroom again; none when one has it already or nobody knows.
/// What `select --wait` sleeps to.
#[must_use]
pub fn next_headroom(ranking: &[Assessment]) -> Option<Timestamp> {
    if ranking.iter().any(Assessment::available) {
        return None;
    }
    ranking
        .iter()
        .filter(|a| a.tier != Tier::NeedsLogin)
        .filter_map(|a| a.serves_again_at)
        .min()
}
