//! Commands outside of any transaction: CONTROL and STAT, on a worker, with a deadline.

use crate::deadlines::Purpose;
use crate::explain;
use crate::linker::{Linker, Work};
use linker_core::transaction::Why;
use linker_core::{CapRights, ModuleState};
use linker_space::worker;
use strata_protocol::domain::command::STAT;
use strata_protocol::linker::Reply;
use strata_protocol::{Errno, Refusal};

impl Linker<'_> {
    /// A command outside of any transaction: CONTROL, STAT.
    pub fn begin_command(&mut self) {
        let Some(Work::Command { name, command, words, caller }) =
            self.turn.as_ref().map(|turn| turn.work.clone())
        else {
            return;
        };
        let refuse = |errno, why| Reply::Refused(Refusal::new(errno, &name, why));
        let module = self.module_named(&name);
        let known = module.and_then(|module| self.link.module(module).ok());
        let (Some(id), Some(module)) = (module, known) else {
            return self.end(&refuse(Errno::ENOENT, "no such module"));
        };
        let wanted = if command == STAT { CapRights::STATUS } else { CapRights::CONTROL };
        if let Err(refusal) = self.permit_about(caller, &name, wanted) {
            return self.end(&Reply::Refused(refusal));
        }
        if module.state() != ModuleState::Live {
            return self.end(&refuse(Errno::EBUSY, "the module is not in service"));
        }
        if module.facts.commands & 1 << command == 0 {
            return self.end(&refuse(Errno::ENOTTY, "the module does not know this command"));
        }
        let job = self.job(id, command, words);
        match worker::begin(&self.space.threads, &job) {
            Ok(worker) => {
                self.deadlines.set(Purpose::Command, self.command_ms(id), 0);
                if let Some(turn) = self.turn.as_mut() {
                    turn.module = Some(id);
                    turn.worker = Some((worker, 0));
                }
            }
            Err(worker::NoWorker) => {
                self.end(&refuse(Errno::ENOMEM, "every worker has faulted or overrun"));
            }
        }
    }

    /// The command has come back.
    pub fn end_command(&mut self, result: i32, words: [u64; strata_protocol::domain::COMMAND_WORDS]) {
        let reply = if result == 0 {
            Reply::Words(words)
        } else {
            let name = self.turn_name();
            Reply::Refused(Refusal::new(explain::errno(result), &name, "the module refuses the command"))
        };
        self.end(&reply);
    }

    /// A command outside of any transaction did not come back: the module is popped and wedged.
    pub fn wedge_by_command(&mut self, why: Why) {
        let worker = self.turn.as_mut().and_then(|turn| turn.worker.take());
        if let Some((number, _)) = worker {
            self.abandon(number);
        }
        if let Some(module) = self.turn.as_ref().and_then(|turn| turn.module) {
            let _ = self.pops.push(module);
        }
        let name = self.turn_name();
        let (errno, what) = match why {
            Why::Overran => (Errno::ETIMEDOUT, "the command overran its deadline; the module is wedged"),
            _ => (Errno::EFAULT, "the command faulted; the module is wedged"),
        };
        self.end(&Reply::Refused(Refusal::new(errno, &name, what)));
    }
}
