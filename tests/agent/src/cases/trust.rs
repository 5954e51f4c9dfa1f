//! Trusted images: what is not signed by a key of the boot image is not looked at (T1, T14).

use kmod_trust::sign::SecretKey;
use strata_protocol::store::{Area, ImageRef};
use strata_protocol::{Errno, Text};

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure_eq, fail};

fn refused(agent: &mut Agent, module: &str, image: ImageRef, errno: Errno, what: &str) -> Outcome {
    match agent.try_load_image(module, image)? {
        Err(refused) if refused.errno == errno => Ok(()),
        other => fail!("{what}: {other:?}, not {errno}"),
    }
}

const fn uploaded(size: usize) -> ImageRef {
    ImageRef { area: Area::Upload, offset: 0, size: size as u64 }
}

case!(
    20, fn trust_unsigned_and_foreign_images_are_refused_with_eauth(agent) {
        let before = agent.snapshot()?;
        let upload = agent.copy_up("pass_a")?;
        refused(agent, "pass_a", uploaded(upload.size), Errno::EAUTH, "an image without a signature")?;
        // Somebody else's key, under its own name and under the name of ours.
        let foreign = SecretKey::new([0x55; 8], &[0x55; 32]);
        let image = agent.signed_by(&foreign, "pass_a", 1, &upload, upload.size)?;
        refused(agent, "pass_a", image, Errno::EAUTH, "an image signed by a foreign key")?;
        // A good signature, for another name than the one that is asked for.
        let image = agent.signed("pass_b", &upload, upload.size)?;
        refused(agent, "pass_a", image, Errno::EAUTH, "an image signed as another module")?;
        agent.expect_as_before(&before, "images that nobody signed")?;
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// A byte of the image, of its signature or of the trailer that differs from what was signed.
    60, fn trust_tampered_images_are_refused_with_eauth(agent) {
        let before = agent.snapshot()?;
        let good = agent.archived_signed("pass_a")?;
        let size = agent.archived("pass_a")?.len();
        let upload = agent.upload_bytes(good);
        // Some 60 places of the image, and each of the last lines of its signature and of the trailer.
        let places = (0..size).step_by(size / 60 + 1).chain(good.len() - 150..good.len());
        for at in places {
            upload.set(at, good[at] ^ 1 << (at % 8));
            let what = Text::<60>::format(format_args!("byte {at} of {}, an image of {size}", good.len()));
            refused(agent, "pass_a", uploaded(good.len()), Errno::EAUTH, &what)?;
            upload.set(at, good[at]);
        }
        agent.expect_as_before(&before, "tampered images")?;
        ensure_eq!(agent.try_load_image("pass_a", uploaded(good.len()))?, Ok(()), "the image as it was signed");
        agent.unload("pass_a")
    }
);

case!(
    /// T14: an older version of a name than one that has been in service is refused, however well it is signed.
    20, fn trust_downgrade_is_refused_with_eprogmismatch(agent) {
        let upload = agent.copy_up("pass_a")?;
        upload.set_version(7)?;
        ensure_eq!(agent.load_upload("pass_a", &upload, upload.size)?, Ok(()), "version 7");
        agent.unload("pass_a")?;
        let before = agent.snapshot()?;
        upload.set_version(6)?;
        let image = agent.signed("pass_a", &upload, upload.size)?;
        refused(agent, "pass_a", image, Errno::EPROGMISMATCH, "version 6 after 7")?;
        agent.load_refused("pass_a", Errno::EPROGMISMATCH)?;
        // A signature that claims another version than the image has.
        upload.set_version(8)?;
        let key = agent.test_key()?;
        let image = agent.signed_by(&key, "pass_a", 9, &upload, upload.size)?;
        refused(agent, "pass_a", image, Errno::EAUTH, "a signature that says 9 of version 8")?;
        agent.expect_as_before(&before, "downgrades")?;
        // What never came into service has locked nobody out.
        ensure_eq!(agent.load_upload("pass_a", &upload, upload.size)?, Ok(()), "version 8");
        agent.unload("pass_a")
    }
);
