//! `x kmod`: keys and signatures of module images, in minisign's format.
//!
//! Secret keys are never in the repository: the first build makes two in `target/`, one that signs what the build packs,
//! and one that signs the damaged images of test cases. A key of one's own is named by `--key` or `STRATA_SIGNING_KEY`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use kmod::Object;
use kmod_trust::container::trailer;
use kmod_trust::sign::SecretKey;
use minisign::{KeyPair, PublicKey};

use crate::kmod_link;
use crate::workspace::Workspace;

/// Names the secret key of a build that is not for development.
const SIGNING_KEY: &str = "STRATA_SIGNING_KEY";
/// The key that signs what a build packs.
const DEVELOPMENT: &str = "development";
/// The key of test cases.
const TEST: &str = "test";

/// Arguments of `x kmod`.
#[derive(Args, Debug)]
pub(crate) struct KmodArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Sign modules: writes FILE.minisig beside each; its trusted comment carries the module's name and version.
    Sign {
        /// A secret key file of minisign's without a password; the development key by default.
        #[arg(long, env = SIGNING_KEY)]
        key: Option<PathBuf>,
        /// The `.kmod` files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Link images at an address, on the host, into one flat file.
    Link(kmod_link::LinkArgs),
    /// Make a key pair without a password: FILE is the secret key, FILE.pub what a boot image trusts.
    Keygen {
        /// Where the secret key goes; it must not be there yet.
        file: PathBuf,
    },
}

/// `x kmod`.
pub(crate) fn kmod(workspace: &Workspace, args: &KmodArgs) -> Result<ExitCode> {
    match &args.verb {
        Verb::Link(args) => return kmod_link::run(args),
        Verb::Sign { key, files } => {
            let key = match key {
                Some(file) => Key::read(file)?,
                None => Key::development(workspace)?,
            };
            for file in files {
                let image = std::fs::read(file).with_context(|| file.display().to_string())?;
                let signature = key.sign(&image).with_context(|| file.display().to_string())?;
                let mut name = file.clone().into_os_string();
                name.push(".minisig");
                std::fs::write(&name, signature).with_context(|| Path::new(&name).display().to_string())?;
                println!("{}", Path::new(&name).display());
            }
        }
        Verb::Keygen { file } => {
            if file.exists() {
                bail!("{} is there already", file.display());
            }
            generate(file)?;
            println!("{}\n{}", file.display(), public_file(file).display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A key pair: what signs, and the text that a boot image carries.
pub(crate) struct Key {
    secret: SecretKey,
    /// The text of the public key.
    pub(crate) public: String,
    /// Where the secret key is.
    pub(crate) file: PathBuf,
}

impl Key {
    /// The key that signs what a build packs: the one that the environment names, or the development key.
    pub(crate) fn of_build(workspace: &Workspace) -> Result<Self> {
        match std::env::var_os(SIGNING_KEY) {
            Some(file) => Self::read(Path::new(&file)),
            None => Self::development(workspace),
        }
    }

    /// The key that signs the images of test cases.
    pub(crate) fn of_tests(workspace: &Workspace) -> Result<Self> {
        Self::made(workspace, TEST)
    }

    fn development(workspace: &Workspace) -> Result<Self> {
        Self::made(workspace, DEVELOPMENT)
    }

    /// A key of this name in the build's folder, made on first use.
    fn made(workspace: &Workspace, name: &str) -> Result<Self> {
        let file = workspace.target.join("strata").join("keys").join(format!("{name}.key"));
        if !file.exists() {
            generate(&file)?;
        }
        Self::read(&file)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        let secret = SecretKey::parse(&text(file)?)
            .with_context(|| format!("{}: no secret key of minisign's without a password", file.display()))?;
        let bytes = secret.public();
        let public = PublicKey::from_bytes(&[&b"Ed"[..], &bytes.id, &bytes.key].concat())?;
        Ok(Self { secret, public: public.to_box()?.into_string(), file: file.into() })
    }

    /// The text of a module's signature: the trusted comment carries what the image itself says.
    pub(crate) fn sign(&self, image: &[u8]) -> Result<String> {
        let object = Object::parse(image).map_err(|error| anyhow::anyhow!("no module: {error:?}"))?;
        let info = object.info();
        let comment = format!("name:{}\tversion:{}", info.name, info.version);
        let signature = self.secret.sign(image, &comment).context("the trusted comment is too long")?;
        Ok(signature.as_str().into())
    }

    /// A module as it travels: the image, its signature, the trailer.
    pub(crate) fn signed(&self, image: &[u8]) -> Result<Vec<u8>> {
        let signature = self.sign(image)?;
        let end = trailer(signature.len()).context("the signature is too long")?;
        Ok([image, signature.as_bytes(), &end].concat())
    }
}

/// Makes a key pair; the secret key is for its owner's eyes.
fn generate(file: &Path) -> Result<()> {
    let folder = file.parent().context("a path without a folder")?;
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let pair = KeyPair::generate_unencrypted_keypair()?;
    let secret = pair.sk.to_box(Some("Strata secret key without a password"))?.into_string();
    write_private(file, &secret).with_context(|| file.display().to_string())?;
    let public = public_file(file);
    std::fs::write(&public, pair.pk.to_box()?.into_string()).with_context(|| public.display().to_string())
}

fn public_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}
