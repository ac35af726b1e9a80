//! Stacks of a chosen depth and shape: 32 functions that call one another through a table.

use std::hint::black_box;

/// What runs at the end of the chain.
pub type Leaf<'a> = &'a mut dyn FnMut() -> u64;

type Link = fn(u32, u64, Leaf<'_>) -> u64;

/// Calls `leaf` below `depth` frames of the chain. `path` selects which of the functions they
/// are: different paths are different stacks.
pub fn descend(depth: u32, path: u64, leaf: Leaf<'_>) -> u64 {
    step(depth, path.wrapping_mul(0x9e37_79b9_7f4a_7c15), leaf)
}

#[inline(always)]
fn step(depth: u32, path: u64, leaf: Leaf<'_>) -> u64 {
    match depth {
        0 => leaf(),
        _ => LINKS[(path & 31) as usize](depth - 1, path.rotate_right(5), leaf),
    }
}

macro_rules! links {
    ($($name:ident $size:literal)*) => {
        $(
            #[inline(never)]
            fn $name(depth: u32, path: u64, leaf: Leaf<'_>) -> u64 {
                let mut frame = [path; $size];
                black_box(&mut frame);
                let result = step(depth, path, leaf);
                black_box(&frame);
                result.wrapping_add(frame[0] ^ $size)
            }
        )*
        static LINKS: [Link; 32] = [$($name),*];
    };
}

links! {
    read_request 1 parse_header 3 decode_body 8 find_route 2 check_token 20 load_session 4
    read_cache 5 lock_shard 6 hash_key 7 probe_slot 9 compare_key 10 copy_value 11
    open_transaction 12 plan_query 13 scan_index 14 read_page 40 decode_row 15 filter_row 16
    join_rows 17 sort_rows 18 group_rows 19 sum_column 21 format_number 22 render_list 23
    render_item 24 escape_text 25 write_chunk 26 compress_block 27 update_window 28 emit_code 29
    flush_buffer 30 send_response 31
}
