//! Stacks as V8's profiles have them: a tree of calls, whose nodes share names.

use std::sync::Arc;

use napi::bindgen_prelude::Uint32Array;
use napi_derive::napi;
use sondage::ForeignFrame;

/// Frames of one stack: one more than the core ever shows, which it tells as a cut.
const MAX_FRAMES: usize = 513;

/// A tree on its way from JavaScript.
#[napi(object, object_to_js = false)]
pub struct Tree {
    /// Names of functions and of files.
    pub texts: Vec<String>,
    /// Five numbers for each node: its parent's number plus one, or 0 for a root; the function's
    /// name and its file as numbers of texts; the line, and where the function begins, 0 if
    /// unknown.
    pub nodes: Uint32Array,
}

/// A tree whose stacks can be read.
pub(crate) struct Calls {
    texts: Vec<Arc<str>>,
    nodes: Vec<[u32; 5]>,
}

impl From<Tree> for Calls {
    fn from(tree: Tree) -> Self {
        let (nodes, _) = tree.nodes.as_chunks::<5>();
        let texts = tree.texts.into_iter().map(Arc::from).collect();
        Self { texts, nodes: nodes.to_vec() }
    }
}

impl Calls {
    /// The frames that lead to a node, leaf first. `line` is the leaf's, 0 for the node's own.
    pub(crate) fn frames(&self, node: u32, line: u32) -> Vec<ForeignFrame> {
        let mut frames = Vec::new();
        let mut next = self.nodes.get(node as usize);
        while let Some([parent, name, file, own_line, start_line]) = next {
            let is_leaf = frames.is_empty();
            frames.push(ForeignFrame {
                name: self.text(*name),
                file: self.text(*file),
                line: if is_leaf && line != 0 { line } else { *own_line },
                start_line: *start_line,
            });
            let above = parent.checked_sub(1).filter(|_| frames.len() < MAX_FRAMES);
            next = above.and_then(|parent| self.nodes.get(parent as usize));
        }
        frames
    }

    fn text(&self, number: u32) -> Arc<str> {
        self.texts.get(number as usize).cloned().unwrap_or_default()
    }
}
