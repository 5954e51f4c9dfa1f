//! The macros that emit records. Stable `macro_rules!` only.
//!
//! Each takes the *name* of a symbol that an [`interface!`](crate::interface) has declared. A name declared so stands for
//! two things: in value position the external function, in type position the type of its signature. The macros use the
//! second as the compile-time check of an implementation and as the source of the fingerprint.

/// Declares aliasable symbols: an external function and a type alias of its signature for each, and one list of all.
///
/// It never defines the symbol: the definition is made by the linker server (or, for the base image, by the linker
/// script), so a call to it stays a `BL` that can be patched.
#[macro_export]
macro_rules! interface {
    ($(#[$list_doc:meta])* $vis:vis list $list:ident;
     $($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)?;)+) => {
        unsafe extern "C" {
            $($(#[$doc])* $vis fn $name($($arg: $type),*) $(-> $ret)?;)+
        }
        $(
            #[doc = concat!("The signature of `", stringify!($name), "`.")]
            #[expect(non_camel_case_types, reason = "a symbol's name stands for its type, too")]
            $vis type $name = unsafe extern "C" fn($($type),*) $(-> $ret)?;
        )+
        $(#[$list_doc])*
        $vis const $list: &[$crate::symbols::Symbol] = &[
            $($crate::symbols::Symbol {
                name: stringify!($name),
                fingerprint: <$name as $crate::fingerprint::Fingerprint>::ID,
                arguments: &[$((stringify!($arg), stringify!($type))),*],
                result: concat!($(stringify!($ret))?),
            }),+
        ];
    };
}

/// Emits one alias record; the other macros are shorthands for it.
#[doc(hidden)]
#[macro_export]
macro_rules! alias_record {
    ($kind:ident, $symbol:ident => $implementation:expr, $fault:expr, $flags:expr) => {
        const _: () = {
            // The compile-time check: an implementation of another type does not coerce.
            const IMPLEMENTATION: $symbol = $implementation;
            #[used]
            #[unsafe(link_section = ".modlink.alias")]
            static RECORD: $crate::kmod::records::AliasRecord<$symbol> = $crate::record::alias(
                $crate::record::AliasKind::$kind,
                $flags,
                stringify!($symbol),
                <$symbol as $crate::fingerprint::Fingerprint>::ID,
                $fault,
                IMPLEMENTATION,
            );
        };
    };
}

/// Gives a symbol its default: slot 0 of its alias stack.
///
/// `weak_alias!(symbol => implementation)`, optionally followed by `, fault = VALUE` (what a call returns when the
/// implementation faults) and `, may_block`.
#[macro_export]
macro_rules! weak_alias {
    ($symbol:ident => $implementation:expr) => { $crate::alias_record!(Weak, $symbol => $implementation, 0, 0); };
    ($symbol:ident => $implementation:expr, fault = $fault:expr) => {
        $crate::alias_record!(Weak, $symbol => $implementation, $fault, 0);
    };
    ($symbol:ident => $implementation:expr, fault = $fault:expr, may_block) => {
        $crate::alias_record!(Weak, $symbol => $implementation, $fault, $crate::record::MAY_BLOCK);
    };
}

/// Replaces a stub completely: slot 1 of its alias stack, at most one.
#[macro_export]
macro_rules! strong_alias {
    ($symbol:ident => $implementation:expr) => { $crate::alias_record!(Strong, $symbol => $implementation, 0, 0); };
    ($symbol:ident => $implementation:expr, fault = $fault:expr) => {
        $crate::alias_record!(Strong, $symbol => $implementation, $fault, 0);
    };
}

/// Puts a layer over whoever answers to the symbol now; the layer below is reached as `super_<symbol>`.
#[macro_export]
macro_rules! refine_alias {
    ($symbol:ident => $implementation:expr) => { $crate::alias_record!(Refine, $symbol => $implementation, 0, 0); };
    ($symbol:ident => $implementation:expr, fault = $fault:expr) => {
        $crate::alias_record!(Refine, $symbol => $implementation, $fault, 0);
    };
    ($symbol:ident => $implementation:expr, fault = $fault:expr, may_block) => {
        $crate::alias_record!(Refine, $symbol => $implementation, $fault, $crate::record::MAY_BLOCK);
    };
}

/// Exports a function that modules may import and nobody may override.
#[macro_export]
macro_rules! export {
    ($symbol:ident => $implementation:expr) => { $crate::alias_record!(Export, $symbol => $implementation, 0, 0); };
}

/// Says that this module calls a symbol that it does not refine. Refers to nothing, so an unused import costs a record.
#[macro_export]
macro_rules! import {
    ($($symbol:ident),+ $(,)?) => {
        $(const _: () = {
            #[used]
            #[unsafe(link_section = ".modlink.import")]
            static RECORD: $crate::kmod::records::ImportRecord = $crate::record::import(
                stringify!($symbol),
                <$symbol as $crate::fingerprint::Fingerprint>::ID,
            );
        };)+
    };
}

/// Makes the crate a module: its information record, command entry and panic handler.
///
/// ```ignore
/// module! { name: "hello", class: Misc, version: 1, commands: [Init, Fini], type: Hello }
/// ```
/// Optional before `type`: `shared_pages: N` and `flags: N`, in this order. `type` implements [`crate::Module`].
#[macro_export]
macro_rules! module {
    (name: $name:literal, class: $class:ident, version: $version:literal, commands: [$($command:ident),* $(,)?],
     $(shared_pages: $pages:expr,)? $(flags: $flags:expr,)? type: $type:ty $(,)?) => {
        const _: () = {
            type Entry = unsafe extern "C" fn(u32, *mut $crate::module::CommandArgs) -> i32;

            unsafe extern "C" fn entry(command: u32, args: *mut $crate::module::CommandArgs) -> i32 {
                // SAFETY: the worker that calls a command entry passes arguments that are its own until it returns.
                unsafe { $crate::module::dispatch::<$type>(command, args) }
            }

            #[used]
            #[unsafe(link_section = ".modlink.info")]
            static INFO: $crate::kmod::records::ModuleInfo<Entry> =
                $crate::record::info($crate::record::ModuleDescription {
                    name: $name,
                    class: $crate::ModuleClass::$class,
                    version: $version,
                    flags: 0 $(| $flags)?,
                    shared_pages: 0 $(+ $pages)?,
                    commands: $crate::CommandSet::of(&[$($crate::Command::$command),*]),
                    entry,
                });
        };

        #[panic_handler]
        fn stop_at_a_gate(_info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::module::stop()
        }
    };
}

/// Defines a function that notes where its call returns to ([`thread::caller`](crate::thread::caller)), for layers that
/// record who called: `entrance! { fn name(argument: Type) -> Type { … } }`.
///
/// The function itself is three instructions and a branch to the body. A compiler gives no way to a return address, and
/// a direct binding has no gate that would keep it.
#[macro_export]
macro_rules! entrance {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            unsafe extern "C" fn body($($argument: $type),*) $(-> $result)? $body
            core::arch::naked_asm!(
                ".cfi_startproc",
                "mrs x16, tpidr_el0",
                "str x30, [x16, #{caller}]",
                "b {body}",
                ".cfi_endproc",
                caller = const $crate::thread::CALLER_OFFSET,
                body = sym body,
            )
        }
    };
}
