/* Generated from drivers/kmod-api/src/symbols.rs; do not edit.
 * KMOD_HEADER_UPDATE=1 cargo test -p kmod-api writes it anew. */
#ifndef KMOD_SYMBOLS_H
#define KMOD_SYMBOLS_H

/* bus_space */
extern int32_t bus_space_map(bus_space_tag_t tag, uint64_t address, uint64_t size, uint32_t flags, bus_space_handle_t *handle);
#define KMOD_HASH_bus_space_map 0x53ef10d162e172f5u
#define KMOD_FINGERPRINT_bus_space_map 0xa3d4df308ebb8331u
extern void bus_space_unmap(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t size);
#define KMOD_HASH_bus_space_unmap 0x6141b3cdaaae7698u
#define KMOD_FINGERPRINT_bus_space_unmap 0xb8c3a691553805c5u
extern int32_t bus_space_subregion(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t size, bus_space_handle_t *part);
#define KMOD_HASH_bus_space_subregion 0xc1752b3940cf9a51u
#define KMOD_FINGERPRINT_bus_space_subregion 0xc92b4dad96094182u
extern void bus_space_barrier(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t length, uint32_t flags);
#define KMOD_HASH_bus_space_barrier 0xcc9803961cb0c0f4u
#define KMOD_FINGERPRINT_bus_space_barrier 0xd207045bc4049ba2u
extern uint8_t bus_space_read_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset);
#define KMOD_HASH_bus_space_read_1 0xffd66896d4b89639u
#define KMOD_FINGERPRINT_bus_space_read_1 0x160ba41a8dc7589du
extern uint16_t bus_space_read_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset);
#define KMOD_HASH_bus_space_read_2 0xffd66596d4b89120u
#define KMOD_FINGERPRINT_bus_space_read_2 0x7ebbb21e0a823519u
extern uint32_t bus_space_read_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset);
#define KMOD_HASH_bus_space_read_4 0xffd66b96d4b89b52u
#define KMOD_FINGERPRINT_bus_space_read_4 0xcc9bde0881501c67u
extern uint64_t bus_space_read_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset);
#define KMOD_HASH_bus_space_read_8 0xffd66f96d4b8a21eu
#define KMOD_FINGERPRINT_bus_space_read_8 0x49b7d60cc4526b0bu
extern void bus_space_write_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint8_t value);
#define KMOD_HASH_bus_space_write_1 0xc5d20285182fe954u
#define KMOD_FINGERPRINT_bus_space_write_1 0x0bd016990218e804u
extern void bus_space_write_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint16_t value);
#define KMOD_HASH_bus_space_write_2 0xc5d20585182fee6du
#define KMOD_FINGERPRINT_bus_space_write_2 0x07b62d5c6aab0281u
extern void bus_space_write_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint32_t value);
#define KMOD_HASH_bus_space_write_4 0xc5d1ff85182fe43bu
#define KMOD_FINGERPRINT_bus_space_write_4 0xbd97a5be2de6e644u
extern void bus_space_write_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t value);
#define KMOD_HASH_bus_space_write_8 0xc5d1fb85182fdd6fu
#define KMOD_FINGERPRINT_bus_space_write_8 0xeb91f37e8c07d6f5u
extern int32_t bus_space_peek_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint8_t *value);
#define KMOD_HASH_bus_space_peek_1 0x571c86b1b59e5422u
#define KMOD_FINGERPRINT_bus_space_peek_1 0x9fff4fa00d9dc085u
extern int32_t bus_space_peek_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint16_t *value);
#define KMOD_HASH_bus_space_peek_2 0x571c85b1b59e526fu
#define KMOD_FINGERPRINT_bus_space_peek_2 0x8f62dd7c0b6c8ee1u
extern int32_t bus_space_peek_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint32_t *value);
#define KMOD_HASH_bus_space_peek_4 0x571c83b1b59e4f09u
#define KMOD_FINGERPRINT_bus_space_peek_4 0x15b7ddd9ecba36f5u
extern int32_t bus_space_peek_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t *value);
#define KMOD_HASH_bus_space_peek_8 0x571c8fb1b59e636du
#define KMOD_FINGERPRINT_bus_space_peek_8 0x1c8602fe0242c080u
extern int32_t bus_space_poke_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint8_t value);
#define KMOD_HASH_bus_space_poke_1 0xa82a7cb57ad4c414u
#define KMOD_FINGERPRINT_bus_space_poke_1 0xc26ce395cfc9abc0u
extern int32_t bus_space_poke_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint16_t value);
#define KMOD_HASH_bus_space_poke_2 0xa82a7fb57ad4c92du
#define KMOD_FINGERPRINT_bus_space_poke_2 0x3abc89f560c82e55u
extern int32_t bus_space_poke_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint32_t value);
#define KMOD_HASH_bus_space_poke_4 0xa82a79b57ad4befbu
#define KMOD_FINGERPRINT_bus_space_poke_4 0x17d314da03dfc738u
extern int32_t bus_space_poke_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t value);
#define KMOD_HASH_bus_space_poke_8 0xa82a75b57ad4b82fu
#define KMOD_FINGERPRINT_bus_space_poke_8 0x9d1bbd89b662d809u
extern void bus_space_read_multi_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint8_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_multi_1 0x63a8f0ad0ed9a34fu
#define KMOD_FINGERPRINT_bus_space_read_multi_1 0x4abb9616615dbc88u
extern void bus_space_read_multi_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint16_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_multi_2 0x63a8f1ad0ed9a502u
#define KMOD_FINGERPRINT_bus_space_read_multi_2 0x5733d22c92155e77u
extern void bus_space_read_multi_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint32_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_multi_4 0x63a8ebad0ed99ad0u
#define KMOD_FINGERPRINT_bus_space_read_multi_4 0x102af5a473d6fbd0u
extern void bus_space_read_multi_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_multi_8 0x63a8f7ad0ed9af34u
#define KMOD_FINGERPRINT_bus_space_read_multi_8 0xf775b91833ccfc86u
extern void bus_space_write_multi_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint8_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_multi_1 0x2028379e4617324au
#define KMOD_FINGERPRINT_bus_space_write_multi_1 0xd2f4fb0b16f91891u
extern void bus_space_write_multi_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint16_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_multi_2 0x2028369e46173097u
#define KMOD_FINGERPRINT_bus_space_write_multi_2 0x37958c98df99e63au
extern void bus_space_write_multi_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint32_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_multi_4 0x2028349e46172d31u
#define KMOD_FINGERPRINT_bus_space_write_multi_4 0x25057079e4a637ebu
extern void bus_space_write_multi_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint64_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_multi_8 0x2028309e46172665u
#define KMOD_FINGERPRINT_bus_space_write_multi_8 0xe2af3672143fc363u
extern void bus_space_read_region_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint8_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_region_1 0xf9d611d98e9c4836u
#define KMOD_FINGERPRINT_bus_space_read_region_1 0x4abb9616615dbc88u
extern void bus_space_read_region_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint16_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_region_2 0xf9d610d98e9c4683u
#define KMOD_FINGERPRINT_bus_space_read_region_2 0x5733d22c92155e77u
extern void bus_space_read_region_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint32_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_region_4 0xf9d616d98e9c50b5u
#define KMOD_FINGERPRINT_bus_space_read_region_4 0x102af5a473d6fbd0u
extern void bus_space_read_region_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t *data, uint64_t count);
#define KMOD_HASH_bus_space_read_region_8 0xf9d61ad98e9c5781u
#define KMOD_FINGERPRINT_bus_space_read_region_8 0xf775b91833ccfc86u
extern void bus_space_write_region_1(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint8_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_region_1 0xe4ba5fc8b41131ddu
#define KMOD_FINGERPRINT_bus_space_write_region_1 0xd2f4fb0b16f91891u
extern void bus_space_write_region_2(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint16_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_region_2 0xe4ba5cc8b4112cc4u
#define KMOD_FINGERPRINT_bus_space_write_region_2 0x37958c98df99e63au
extern void bus_space_write_region_4(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint32_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_region_4 0xe4ba5ac8b411295eu
#define KMOD_FINGERPRINT_bus_space_write_region_4 0x25057079e4a637ebu
extern void bus_space_write_region_8(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, const uint64_t *data, uint64_t count);
#define KMOD_HASH_bus_space_write_region_8 0xe4ba56c8b4112292u
#define KMOD_FINGERPRINT_bus_space_write_region_8 0xe2af3672143fc363u

/* trace */
extern void bus_space_trace(bus_space_tag_t tag, bus_space_handle_t handle, uint64_t offset, uint64_t layer);
#define KMOD_HASH_bus_space_trace 0x41e05d749bc38e1au
#define KMOD_FINGERPRINT_bus_space_trace 0xeb91f37e8c07d6f5u

/* demo */
extern uint64_t demo_ping(uint64_t value);
#define KMOD_HASH_demo_ping 0x990ab42a18dcf13fu
#define KMOD_FINGERPRINT_demo_ping 0xb62b68fd25d7c570u
extern uint64_t demo_wait(uint64_t value);
#define KMOD_HASH_demo_wait 0xd8e2e531161d26f2u
#define KMOD_FINGERPRINT_demo_wait 0xb62b68fd25d7c570u
extern uint64_t demo_note(uint64_t note);
#define KMOD_HASH_demo_note 0x19f3d7724379260bu
#define KMOD_FINGERPRINT_demo_note 0xb62b68fd25d7c570u
extern uint64_t bench_leaf(uint64_t value);
#define KMOD_HASH_bench_leaf 0x99919091f440ef06u
#define KMOD_FINGERPRINT_bench_leaf 0xb62b68fd25d7c570u

/* bpf */
extern int32_t bpf_attach(uint32_t interface, uint32_t link_type, uint32_t header, uint64_t *listeners);
#define KMOD_HASH_bpf_attach 0x72f3fdf8bc854991u
#define KMOD_FINGERPRINT_bpf_attach 0xe194a8da2887fc67u
extern void bpf_detach(uint32_t interface);
#define KMOD_HASH_bpf_detach 0xcdef455815aff1bbu
#define KMOD_FINGERPRINT_bpf_detach 0x45389d0d7371ccc2u
extern int32_t bpf_change_type(uint32_t interface, uint32_t link_type, uint32_t header);
#define KMOD_HASH_bpf_change_type 0x1a0cbf64ff476b61u
#define KMOD_FINGERPRINT_bpf_change_type 0xa8a66780691eaa36u
extern void bpf_mtap(uint64_t attachment, const uint8_t *packet, uint64_t length, uint32_t direction);
#define KMOD_HASH_bpf_mtap 0xb93b956bbcf22e04u
#define KMOD_FINGERPRINT_bpf_mtap 0xbd991593804a1c79u
extern void bpf_mtap2(uint64_t attachment, const uint8_t *header, uint64_t header_length, const uint8_t *packet, uint64_t length, uint32_t direction);
#define KMOD_HASH_bpf_mtap2 0xb26d1c120f8485c2u
#define KMOD_FINGERPRINT_bpf_mtap2 0x9a95e20a3e9c7ea8u
extern uint32_t bpf_peers_present(uint64_t attachment);
#define KMOD_HASH_bpf_peers_present 0x5fbbcaa24008208du
#define KMOD_FINGERPRINT_bpf_peers_present 0xca13d319b3072801u

/* exports */
extern uint32_t bus_space_device(bus_space_tag_t tag, bus_space_handle_t handle);
#define KMOD_HASH_bus_space_device 0x039c8d6e0c28e617u
#define KMOD_FINGERPRINT_bus_space_device 0x79c8ddf90cdd655cu
extern uint64_t bus_space_address(bus_space_tag_t tag, bus_space_handle_t handle);
#define KMOD_HASH_bus_space_address 0x24ff15ccf33d2b87u
#define KMOD_FINGERPRINT_bus_space_address 0x1e4f032e2cd71bd7u
extern uint64_t bpf_attachments(uint64_t *list, uint32_t room, uint32_t *count);
#define KMOD_HASH_bpf_attachments 0x119692cc8a8137feu
#define KMOD_FINGERPRINT_bpf_attachments 0x92b8248c6ff24549u
extern int32_t strata_event_wait(uint32_t event);
#define KMOD_HASH_strata_event_wait 0xfba88373cacb2e75u
#define KMOD_FINGERPRINT_strata_event_wait 0xa361de7ff99a6628u
extern int32_t strata_event_signal(uint32_t event);
#define KMOD_HASH_strata_event_signal 0x94b1eb30754c3360u
#define KMOD_FINGERPRINT_strata_event_signal 0xa361de7ff99a6628u
extern int32_t strata_unload(uint64_t name0, uint64_t name1, uint64_t name2, uint64_t name3);
#define KMOD_HASH_strata_unload 0x8c735cd2efd7e93eu
#define KMOD_FINGERPRINT_strata_unload 0xa4e694a0c7ed72a9u
extern int32_t strata_register(uint64_t kind, uint64_t name0, uint64_t name1, uint64_t first, uint64_t second, uint64_t *registered);
#define KMOD_HASH_strata_register 0xde26e799306bea54u
#define KMOD_FINGERPRINT_strata_register 0x2d8739a60c97a9d7u
extern int32_t strata_deregister(uint64_t handle);
#define KMOD_HASH_strata_deregister 0x4b63622c19dd4e6fu
#define KMOD_FINGERPRINT_strata_deregister 0x7ad7eeef7e9e8b99u
extern int32_t strata_timer_set(uint64_t handle, uint64_t microseconds);
#define KMOD_HASH_strata_timer_set 0x1ce0907260fd4a49u
#define KMOD_FINGERPRINT_strata_timer_set 0x2db068d5ef2a9998u
extern int32_t strata_thread_start(uint64_t handle);
#define KMOD_HASH_strata_thread_start 0x539867455caa44b6u
#define KMOD_FINGERPRINT_strata_thread_start 0x7ad7eeef7e9e8b99u
extern int32_t strata_interrupt_done(uint64_t handle);
#define KMOD_HASH_strata_interrupt_done 0xba9728de5915580du
#define KMOD_FINGERPRINT_strata_interrupt_done 0x7ad7eeef7e9e8b99u
extern void strata_wake(uint64_t slot);
#define KMOD_HASH_strata_wake 0x8f25426fecd7adf1u
#define KMOD_FINGERPRINT_strata_wake 0x5041d3c1832e3583u
extern uint64_t strata_receive(uint64_t endpoint, uint64_t *message);
#define KMOD_HASH_strata_receive 0x4f31ed5025971f3eu
#define KMOD_FINGERPRINT_strata_receive 0xfd58138269af697eu
extern void strata_reply(uint64_t label, uint64_t length, const uint64_t *words);
#define KMOD_HASH_strata_reply 0xd41215d9688d1ff3u
#define KMOD_FINGERPRINT_strata_reply 0x2b4c6bbe73d64c6du
extern uint64_t demo_keep(uint64_t callback);
#define KMOD_HASH_demo_keep 0x7dde3447bd58f8fau
#define KMOD_FINGERPRINT_demo_keep 0xb62b68fd25d7c570u

#endif
