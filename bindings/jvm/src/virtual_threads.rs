//! Where virtual threads keep their frames and their labels: in objects, whose fields are asked for.

use std::ffi::CStr;

use sondage::hotspot::{self, Continuations, Facts, ThreadLocals};

use crate::vm::Jni;

/// The first version whose virtual threads are read.
const FIRST: u32 = 21;

/// A piece of a virtual thread's stack.
const PIECE: &CStr = c"jdk/internal/vm/StackChunk";

/// Adds to facts where virtual threads keep things, if that can be found out.
pub(crate) fn learn(jni: Jni, facts: &mut Facts) {
    if facts.version >= FIRST {
        facts.continuations = continuations(jni, facts);
        facts.thread_locals = thread_locals(jni, facts);
    }
}

fn continuations(jni: Jni, facts: &Facts) -> Option<Continuations> {
    let int = |name| jni.offset(PIECE, name, c"I");
    let bottom = int(c"bottom");
    let piece = jni.class_object(PIECE)?;
    Some(Continuations {
        // `continuationEntry.hpp`; before 25 without a word in front.
        entry_continuation: if facts.version >= 25 { 16 } else { 8 },
        tail: jni.offset(
            c"jdk/internal/vm/Continuation",
            c"tail",
            c"Ljdk/internal/vm/StackChunk;",
        )?,
        parent: jni.offset(PIECE, c"parent", c"Ljdk/internal/vm/StackChunk;")?,
        size: int(c"size")?,
        sp: int(c"sp")?,
        bottom: bottom.or_else(|| int(c"argsize"))?,
        counts_arguments: bottom.is_none(),
        stack: hotspot::object_bytes(facts, piece, PIECE.to_str().ok()?)?,
        pointers: facts.objects?.pointers,
    })
}

fn thread_locals(jni: Jni, facts: &Facts) -> Option<ThreadLocals> {
    let [runs, is] = facts.thread_objects?;
    let objects = facts.objects?;
    let map = c"Ljava/lang/ThreadLocal$ThreadLocalMap;";
    let table = c"[Ljava/lang/ThreadLocal$ThreadLocalMap$Entry;";
    let entry = c"java/lang/ThreadLocal$ThreadLocalMap$Entry";
    Some(ThreadLocals {
        runs,
        is,
        map: jni.offset(c"java/lang/Thread", c"threadLocals", map)?,
        table: jni.offset(c"java/lang/ThreadLocal$ThreadLocalMap", c"table", table)?,
        value: jni.offset(entry, c"value", c"Ljava/lang/Object;")?,
        array_length: objects.array_length,
        array_first: objects.array_first,
        pointers: objects.pointers,
    })
}
