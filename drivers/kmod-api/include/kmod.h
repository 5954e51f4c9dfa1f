/* What a module in C is written with: alias records, commands, super symbols.
 *
 * The same records as the Rust macros of kmod-api emit. Fingerprints and prototypes come from the Rust side: they stand in
 * kmod_symbols.h, which a test of kmod-api generates and holds current. A module has one KMOD_MODULE, and for each symbol
 * a KMOD_REFINE, KMOD_STRONG or KMOD_IMPORT:
 *
 *     KMOD_SUPER(demo_ping);
 *     static uint64_t ping(uint64_t value) { return super_demo_ping(value) + 1; }
 *     KMOD_REFINE(demo_ping, ping, 0);
 *
 * Compile freestanding, without position-independent code and stack protector, with asynchronous unwind tables; link
 * with -r and module.ld. */
#ifndef KMOD_H
#define KMOD_H

#include <stdint.h>

typedef uint64_t bus_space_tag_t;
typedef uint64_t bus_space_handle_t;

/* Flags of bus_space_map and bus_space_barrier. */
#define BUS_SPACE_MAP_CACHEABLE 1u
#define BUS_SPACE_MAP_LINEAR 2u
#define BUS_SPACE_MAP_PREFETCHABLE 4u
#define BUS_SPACE_BARRIER_READ 1u
#define BUS_SPACE_BARRIER_WRITE 2u

#include "kmod_symbols.h"

/* Kinds of aliases. */
#define KMOD_KIND_WEAK 1
#define KMOD_KIND_STRONG 2
#define KMOD_KIND_REFINE 3
#define KMOD_MAY_BLOCK 1

/* Classes of modules, as modstat shows them. */
#define KMOD_CLASS_MISC 1
#define KMOD_CLASS_BUS 2
#define KMOD_CLASS_DRIVER 3

/* Flag of a module: while it is live, bus errors resume at the accessor's fix-up. */
#define KMOD_FIXUP_POLICY 1

/* Commands; a module answers KMOD_ENOTTY to others. */
#define KMOD_QUERY 1u
#define KMOD_INIT 2u
#define KMOD_START 3u
#define KMOD_CATCH 4u
#define KMOD_UNCATCH 5u
#define KMOD_FINI 6u
#define KMOD_STAT 7u
#define KMOD_CONTROL 8u
#define KMOD_COMMAND_BIT(command) (1u << (command))

/* Outcomes: 0, or NetBSD's errno numbers. */
#define KMOD_EBUSY 16
#define KMOD_EINVAL 22
#define KMOD_ENOTTY 25

/* What a command gets and may answer in. */
struct kmod_command_args {
	uint64_t words[8];
	uint64_t shared_address;
	uint64_t shared_size;
};

typedef int32_t kmod_entry_t(uint32_t command, struct kmod_command_args *args);

struct kmod_alias_record {
	uint8_t kind;
	uint8_t flags;
	uint16_t reserved;
	uint32_t position;
	uint64_t name_hash;
	uint64_t fingerprint;
	uint64_t fault_value;
	const void *implementation;
	char name[48];
};

struct kmod_import_record {
	uint64_t name_hash;
	uint64_t fingerprint;
	char name[48];
};

struct kmod_info_record {
	char magic[8];
	uint16_t format;
	uint16_t api;
	uint8_t class;
	uint8_t flags;
	uint16_t shared_pages;
	uint32_t version;
	uint32_t commands;
	kmod_entry_t *entry;
	uint64_t reserved;
	uint64_t build_id;
	char name[32];
	uint8_t reserved_tail[16];
};

_Static_assert(sizeof(struct kmod_alias_record) == 88, "the format's alias record");
_Static_assert(sizeof(struct kmod_import_record) == 64, "the format's import record");
_Static_assert(sizeof(struct kmod_info_record) == 96, "the format's information record");

#define KMOD_SECTION(name) __attribute__((section(name), used, aligned(8)))

/* One alias; the first assertion is the check of the implementation's type, the second that of the name's length. */
#define KMOD_ALIAS(kind_, flags_, symbol, function, fault)                                                          \
	_Static_assert(__builtin_types_compatible_p(__typeof__(symbol), __typeof__(function)),                      \
	    #function " has another type than " #symbol);                                                           \
	_Static_assert(sizeof(#symbol) <= 48, "the symbol's name is too long");                                     \
	static const struct kmod_alias_record kmod_alias_##symbol KMOD_SECTION(".modlink.alias") = {                \
	    .kind = (kind_), .flags = (flags_), .name_hash = KMOD_HASH_##symbol,                                    \
	    .fingerprint = KMOD_FINGERPRINT_##symbol, .fault_value = (fault),                                       \
	    .implementation = (const void *)(function), .name = #symbol }

/* A layer over whoever answers to the symbol now; `fault` is what a call returns when the layer faults. */
#define KMOD_REFINE(symbol, function, fault) KMOD_ALIAS(KMOD_KIND_REFINE, 0, symbol, function, fault)
/* The same for a symbol whose calls may block. */
#define KMOD_REFINE_BLOCKING(symbol, function, fault)                                                               \
	KMOD_ALIAS(KMOD_KIND_REFINE, KMOD_MAY_BLOCK, symbol, function, fault)
/* A full replacement of a stub. */
#define KMOD_STRONG(symbol, function, fault) KMOD_ALIAS(KMOD_KIND_STRONG, 0, symbol, function, fault)
/* Declares the layer below, which only a module that refines the symbol may call. */
#define KMOD_SUPER(symbol) extern __typeof__(symbol) super_##symbol

/* Says that the module calls a symbol that it does not refine. */
#define KMOD_IMPORT(symbol)                                                                                         \
	static const struct kmod_import_record kmod_import_##symbol KMOD_SECTION(".modlink.import") = {             \
	    .name_hash = KMOD_HASH_##symbol, .fingerprint = KMOD_FINGERPRINT_##symbol, .name = #symbol }

/* What the module is: once in each. `commands_` are KMOD_COMMAND_BITs. */
#define KMOD_MODULE(name_, class_, version_, flags_, pages_, commands_, entry_)                                     \
	_Static_assert(sizeof(name_) <= 32, "the module's name is too long");                                       \
	static const struct kmod_info_record kmod_info KMOD_SECTION(".modlink.info") = {                            \
	    .magic = { 'S', 'T', 'R', 'A', 'T', 'A', 'K', 'M' }, .format = 1, .api = 1, .class = (class_),          \
	    .flags = (flags_), .shared_pages = (pages_), .version = (version_), .commands = (commands_),            \
	    .entry = (entry_), .name = name_ }

#endif
