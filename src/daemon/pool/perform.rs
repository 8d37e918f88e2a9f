//! What the machine wants done, done.

use super::keeper::Job;
use super::log::Category;
use super::long;
use super::main_loop::{Order, Pool};
use super::processes::LookFor;
use super::spawning::{self, Task};
use super::transcripts::Awaited;
use super::{handoff, typing, views};
use crate::adapters::files;
use crate::contract::pool::{Code, PoolError, PoolSize, Reply as Told};
use crate::contract::proto::host::{Look, Script, ToHost};
use crate::core::calendar::rfc3339;
use crate::core::pool::action::{Action, Content, ContentSource, Fact, Reply, Typing};
use crate::core::pool::event::{Event as Happened, Hook, Report, TurnFailure};
use crate::core::pool::id::{ClaudeUuid, Place, PromptId, SessionId, Ticket};
use crate::core::pool::notice::{Notice, PoolNews};
use crate::core::pool::status::{Beginning, Disposition, Status};
use crate::core::registry::{EndReason, HookReport, Reported, SessionSource, TurnError};
use crate::core::select::moving::Refused;
use crate::core::time::Timestamp;
use std::time::Instant;

/// How long claude gets between the request to end and force.
const GRACE_MS: u64 = 5_000;

/// Does one thing.
pub(super) fn perform(pool: &mut Pool, action: Action) {
    match action {
        Action::Persist { token, changes } => give(pool, Job::Write { token, changes }),
        Action::CheckTranscript {
            session,
            conversations,
            delivery,
            text,
        } => {
            let cwd = pool.spawn_cwd(session);
            give(
                pool,
                Job::Check {
                    session,
                    conversations,
                    delivery,
                    text,
                    cwd,
                },
            );
        }
        Action::Spawn {
            place,
            build: _,
            cwd,
            account,
            resume,
            session,
        } => {
            let task = Task {
                place,
                cwd,
                resume,
                session,
            };
            pool.turns.ask((task, account), Instant::now());
            spawning::start_next(pool);
        }
        Action::End { place } => match pool.process_of(place) {
            Some(process) => process.end(GRACE_MS),
            None => {
                // It may not have begun.
                pool.turns.over(place);
                let how = crate::core::pool::event::End::HostGone;
                let gone = super::main_loop::Event::Gone(place, how);
                let _ = pool.ground.events.try_send(gone);
            }
        },
        Action::SetSession { place, session } => {
            if let Some(process) = pool.process_of(place) {
                let id = session.map(|id| id.to_string());
                process.tell(ToHost::SetSession { id });
            }
        }
        Action::Type {
            place,
            number,
            typing,
        } => {
            if let Some(process) = pool.process_of(place) {
                let is_quick = process.is_quick();
                let script = Script {
                    number: number.0,
                    steps: typing::steps(&typing, process.in_the_way(), is_quick),
                    hold_input: typing::holds_input(&typing),
                };
                if let Typing::PutBack(text) = &typing {
                    process.expect_in_box(text);
                }
                process.tell(ToHost::Type(script));
            }
        }
        Action::Inspect {
            place,
            number,
            ours,
        } => match pool.process_of(place) {
            Some(process) => process.look_at_box(number, ours),
            None => {
                let seen = None;
                let happened = Happened::Inspected {
                    place,
                    number,
                    seen,
                };
                let event = super::main_loop::Event::Happened(Box::new(happened));
                let _ = pool.ground.events.try_send(event);
            }
        },
        Action::Choose {
            session,
            account,
            until,
            failed,
            fixed,
            moved_at,
            refused,
        } => {
            let question = Refused {
                account,
                until,
                failed,
                fixed,
                moved_at,
            };
            handoff::choose(pool, session, question, refused);
        }
        Action::CloseAttach { place } => {
            if let Some(process) = pool.process_of(place) {
                process.close_attach();
            }
        }
        Action::Reply { ticket, reply } => answer(pool, ticket, reply),
        Action::ReplyContent {
            ticket,
            session,
            uuid,
            place,
            content,
        } => answer_content(pool, ticket, session, uuid, place, content),
        Action::Notify(notice) => {
            if notice == Notice::Pool(PoolNews::Destroy) {
                note_end(pool);
            }
            let event = views::event(&notice, &pool.ground.configured.labels());
            let _ = pool.ground.orders.send(Order::Tell(event));
        }
        Action::SaveSize { size } => {
            if let Err(error) = pool.ground.configured.save_size(size) {
                pool.ground.log.write(Category::Error, None, &error.text);
            }
        }
        Action::Shutdown => pool.is_over = true,
        Action::Log(fact) => log(pool, &fact),
    }
}

/// So that the daemon of the accounts does not begin anew what a person ended. Where it cannot be noted, it does.
fn note_end(pool: &Pool) {
    let path = pool.ground.dir.ended();
    let _ = files::replace_rebuildable(&path, b"", files::PRIVATE_FILE);
}

fn give(pool: &Pool, job: Job) {
    if pool.ground.jobs.send(job).is_err() {
        let message = "the thread that writes is gone";
        pool.ground.log.write(Category::Error, None, message);
    }
}

fn answer(pool: &mut Pool, ticket: Ticket, reply: Reply) {
    let told = match reply {
        Reply::Initialized { readopted } => Ok(super::requests::health(pool, readopted)),
        Reply::Resized { size } => Ok(Told::Pool {
            pool: PoolSize { size },
        }),
        Reply::Started { session, status } => Ok(Told::Started {
            session_id: session.to_string(),
            status: views::status(status),
        }),
        Reply::Done => Ok(Told::Ok),
        Reply::Refused(refusal) => Err(views::refusal(&refusal)),
    };
    if let Some(reply) = pool.owed.remove(&ticket) {
        reply.send(told);
    }
}

/// Reads what a session said and answers with it, on a thread of its own: a transcript may be large.
fn answer_content(
    pool: &mut Pool,
    ticket: Ticket,
    session: SessionId,
    uuid: Option<ClaudeUuid>,
    place: Option<Place>,
    content: Content,
) {
    let Some(reply) = pool.owed.remove(&ticket) else {
        return;
    };
    let id = session.to_string();
    if content.source == ContentSource::Terminal {
        let process = place.and_then(|place| pool.processes.get_mut(&place));
        let Some(process) = process else {
            reply.send(Err(PoolError::not_live_buffer()));
            return;
        };
        let whom = LookFor::Client {
            reply,
            session: Some(id),
            turns: content.turns,
        };
        return process.look(Look::Text, whom);
    }
    let expected = place.and_then(|place| pool.last_texts.get(&place).cloned());
    let view = pool.machine.session(&id);
    let is_busy = view.is_ok_and(|view| view.status == Status::Processing);
    let awaited = match expected {
        Some(text) => Awaited::Text(text),
        None if is_busy => Awaited::Nothing,
        None => Awaited::End,
    };
    let cwd = pool.spawn_cwd(session);
    let transcripts = std::sync::Arc::clone(&pool.ground.transcripts);
    let read = move || match transcripts.content(session, &cwd, uuid.as_ref(), content, &awaited) {
        Ok(content) => long::answer(reply, id, content),
        Err(error) => reply.send(Err(error)),
    };
    // A reader that cannot be started drops the reply, which the client hears of.
    if let Err(error) = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(read)
    {
        let message = format!("cannot read a transcript: {error}");
        pool.ground.log.write(Category::Error, None, &message);
    }
}

/// A hook's report as the machine wants it; none when it is about nothing.
pub(super) fn report(place: Place, seq: u64, at: Timestamp, report: HookReport) -> Option<Report> {
    let uuid = ClaudeUuid::new(report.session.as_deref()?);
    let mut disposition = Disposition {
        mode: report.permission_mode,
        model: None,
    };
    let hook = match report.what {
        Reported::SessionStart { source, model } => {
            disposition.model = model;
            Hook::SessionStart {
                beginning: beginning(&source),
            }
        }
        Reported::PromptSubmitted { prompt } => Hook::PromptAccepted { text: prompt },
        Reported::TurnEnded { .. } => Hook::TurnEnded,
        Reported::TurnFailed {
            error,
            shown,
            resets_at,
        } => Hook::TurnFailed(failure(&error, shown, resets_at)),
        Reported::Notification { kind, .. } => Hook::Notification { kind },
        Reported::SessionEnd { reason } => Hook::SessionEnd {
            reason: reason_word(reason),
        },
        Reported::CwdChanged { cwd } => Hook::CwdChanged { cwd },
        Reported::Other { .. } => return None,
    };
    Some(Report {
        place,
        seq,
        at,
        uuid,
        prompt: report.prompt_id.as_deref().map(PromptId::new),
        disposition,
        hook,
    })
}

const fn beginning(source: &SessionSource) -> Beginning {
    match source {
        SessionSource::Startup => Beginning::Startup,
        SessionSource::Resume => Beginning::Resume,
        SessionSource::Clear => Beginning::Clear,
        SessionSource::Compact => Beginning::Compact,
        SessionSource::Fork => Beginning::Fork,
        SessionSource::Other(_) => Beginning::Other,
    }
}

fn failure(error: &TurnError, shown: Option<String>, until: Option<Timestamp>) -> TurnFailure {
    let word = match error {
        TurnError::RateLimit => return TurnFailure::RateLimit { until },
        TurnError::Authentication => "authentication failed",
        TurnError::Server => "the service failed",
        TurnError::Other(word) => word,
    };
    TurnFailure::Other(shown.unwrap_or_else(|| word.to_owned()))
}

fn reason_word(reason: EndReason) -> String {
    match reason {
        EndReason::Clear => "clear".to_owned(),
        EndReason::Resume => "resume".to_owned(),
        EndReason::Logout => "logout".to_owned(),
        EndReason::PromptExit => "prompt_input_exit".to_owned(),
        EndReason::Other(word) => word,
    }
}

fn log(pool: &Pool, fact: &Fact) {
    let (category, session, message) = match fact {
        Fact::Moved {
            session,
            from,
            to,
            slot,
        } => {
            let at = slot.map_or_else(String::new, |slot| format!(" in slot {slot}"));
            (
                Category::State,
                Some(*session),
                format!("{from} -> {to}{at}"),
            )
        }
        Fact::Readopted { slots } => (Category::Slot, None, format!("readopted {slots} slots")),
        Fact::Evicted { session, slot } => {
            let message = format!("evicted from slot {slot}");
            (Category::Eviction, Some(*session), message)
        }
        Fact::ProcessEnded {
            place,
            session,
            how,
        } => {
            let message = format!("slot {}: claude ended: {how}", place.slot);
            (Category::Slot, *session, message)
        }
        Fact::Replaced { place, why } => {
            let message = format!("slot {}: claude is replaced: {why:?}", place.slot);
            (Category::Slot, None, message)
        }
        Fact::GaveUp { slot } => {
            let message = format!("slot {slot}: not tried again for now");
            (Category::Error, None, message)
        }
        Fact::PromptTaken { session, delivery } => {
            let message = format!("prompt taken in slot {}", delivery.place.slot);
            (Category::State, Some(*session), message)
        }
        Fact::SubmitResent { place, times } => {
            let message = format!("slot {}: submit key resent ({times})", place.slot);
            (Category::Slot, None, message)
        }
        Fact::Redelivering { session } => {
            let message = "prompt is delivered again".to_owned();
            (Category::State, Some(*session), message)
        }
        Fact::LoadFailed {
            session,
            times,
            why,
        } => {
            let message = format!("could not be loaded ({times}): {why}");
            (Category::Error, Some(*session), message)
        }
        Fact::ConversationChanged { session, from, to } => {
            let from = from.as_ref().map_or("none", |uuid| uuid.as_str());
            let message = format!("conversation {from} became {} by itself", to.as_str());
            (Category::State, Some(*session), message)
        }
        Fact::TurnFailed { session, what, .. } => (
            Category::Error,
            Some(*session),
            format!("turn failed: {what}"),
        ),
        Fact::HandedOver { session, from, to } => {
            let from = from.map_or_else(|| "none".to_owned(), |from| from.to_string());
            let message = format!("handed over from account {from} to account {to}");
            (Category::State, Some(*session), message)
        }
        Fact::Limited { session, until } => {
            let message = format!("waits for an account until {}", rfc3339(*until));
            (Category::State, Some(*session), message)
        }
        Fact::Stuck { place, screen } => {
            let message = format!("slot {}: a dialog stands in the way: {screen}", place.slot);
            (Category::Error, None, message)
        }
        Fact::NotWritten { why } => (Category::Error, None, format!("not written: {why}")),
    };
    pool.ground.log.write(category, session, &message);
}

/// What a client is told when the pool cannot serve it for a reason of its own.
pub(super) fn internal(why: impl std::fmt::Display) -> PoolError {
    PoolError::new(Code::Internal, why.to_string())
}
