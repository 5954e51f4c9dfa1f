//! Log lines of modules: each is decoded with the strings of the module that wrote it.

use strata_protocol::Text;
use strata_protocol::streams::LINK_DOMAIN;

use crate::case::{case, ensure_eq};
use crate::report::expect_log;

case!(
    /// The lines of two modules decode side by side, whoever's thread writes them: a worker or a driver. FINI's line is
    /// the last of its module and is read when the module has gone. Each load has log indices of its own.
    20, fn logs_of_modules_decode_with_their_own_strings(agent) {
        let demo = agent.open("demo")?;
        for value in 41..44 {
            expect_log(LINK_DOMAIN, "hello: loaded");
            agent.load("hello")?;
            expect_log(LINK_DOMAIN, "chatty_layer: loaded");
            agent.load("chatty_layer")?;
            expect_log(LINK_DOMAIN, &Text::<64>::format(format_args!("chatty_layer: {value} became {}", value + 1)));
            ensure_eq!(demo.ping(agent.ipc, value)?, value + 1, "the answer through the layer");
            expect_log(LINK_DOMAIN, "hello: goodbye");
            agent.unload("hello")?;
            expect_log(LINK_DOMAIN, "chatty_layer: goodbye");
            agent.unload("chatty_layer")?;
        }
        agent.close(demo)?;
        agent.expect_empty()
    }
);
