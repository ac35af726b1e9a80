//! Where V8 keeps things: offsets in its objects, and the numbers of its types.
//!
//! Most come from the constants that V8 exports for debuggers (`v8dbg_…`), so that a new version
//! brings its own. What those leave out stands here as rules by version, read from V8's sources
//! and seen in Node.js 20 to 26. The self-test of a binding is what decides whether they fit.

use crate::walk::number::layout;

/// The version of V8: 13.6.233 is `Version(13, 6, 233)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// Why V8's frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The processor is not x86-64.
    Processor,
    /// V8 is older than 11.3, which Node.js 20 has.
    Version(Version),
    /// A constant is not exported.
    Missing(&'static str),
    /// Pointers are compressed, or small integers are not in the upper half of a word.
    Pointers,
    /// A value is out of all reason.
    Unreasonable(&'static str),
}

impl core::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Processor => f.write_str("frames of V8 can be read on x86-64 only"),
            Self::Version(Version(a, b, c)) => write!(f, "V8 {a}.{b}.{c} is not known"),
            Self::Missing(name) => write!(f, "V8 does not export v8dbg_{name}"),
            Self::Pointers => f.write_str("V8 was built with compressed pointers"),
            Self::Unreasonable(name) => write!(f, "v8dbg_{name} makes no sense"),
        }
    }
}

layout! {
    (
        /// Offsets are in bytes from the start of an object, types are values of a map's instance
        /// type.
    )

    /// In a frame: what it runs on (a context), or which kind of frame it is.
    frame_context: i16,
    /// In a frame of JavaScript: the function.
    frame_function: i16,
    /// In a frame of the interpreter or of baseline code: the bytecode.
    frame_bytecode: i16,
    /// In a frame of the interpreter: where in the bytecode it is.
    frame_bytecode_offset: i16,
    /// The kind of frame that compiled regular expressions have.
    frame_of_regexp: u16,

    /// In a map: the type of its objects.
    map_instance_type: u16,
    /// In a function: what its closures share.
    function_shared: u16,
    /// In that: the name, or the scope that has it.
    shared_name: u16,
    /// In that: the script.
    shared_script: u16,
    /// In a script: its name.
    script_name: u16,
    /// In a script: its source.
    script_source: u16,
    /// In a script: its number.
    script_id: u16,

    /// In a code object: where its machine code begins.
    code_instruction_start: u16,
    /// Bytes of it.
    code_instruction_size: u16,
    /// What made it, among others.
    code_flags: u16,
    /// The table of positions, and in baseline code that of bytecode offsets.
    code_positions: u16,
    /// What deoptimising needs, and in baseline code the bytecode.
    code_deoptimization: u16,
    /// In what holds machine code: its code object.
    stream_code: u16,
    /// What is before the first instruction.
    stream_header: u16,
    /// Bits of a code's flags that say which compiler made it.
    code_kind_mask: u32,
    /// The kind of baseline code; Maglev is the next one, and TurboFan the one after that.
    code_kind_baseline: u16,

    /// In bytecode: how many bytes there are.
    bytecode_length: u16,
    /// In bytecode: the table of positions.
    bytecode_positions: u16,
    /// In bytecode: the first byte.
    bytecode_data: u16,

    /// In what deoptimising needs, by number of the element: how many functions were inlined.
    inlined_count: u16,
    /// The constants, the first of which are the functions that were inlined.
    literals: u16,
    /// The function that was optimised.
    optimized_shared: u16,
    /// Whether the function of optimised code is in a wrapper.
    shared_is_wrapped: bool,
    /// Where in the wrapper.
    wrapper_shared: u16,
    /// Where functions were inlined.
    inlining_positions: u16,

    /// In a scope's description, by number of the element: how many variables there are.
    scope_locals: u16,
    /// The first of them. From 12.8 on two elements are between: where the function begins and ends,
    /// which is a pair further behind before.
    scope_first: u16,

    /// Of every string: below this are the types of strings.
    first_nonstring: u16,
    /// In a string: how many characters it has.
    string_length: u16,
    /// Bits of a string's type that say how it is kept.
    string_shape_mask: u16,
    /// One piece.
    string_sequential: u16,
    /// Two strings.
    string_cons: u16,
    /// Outside of the heap.
    string_external: u16,
    /// A part of another.
    string_sliced: u16,
    /// Another that is the same.
    string_thin: u16,
    /// The bit of a string's type that says how wide its characters are.
    string_encoding_mask: u16,
    /// One byte each.
    string_one_byte: u16,
    /// The characters of a sequential string, and the first pointer of any other.
    string_data: u16,
    /// The second pointer of a string: the other half, the offset, the characters outside.
    string_second: u16,

    /// In an array: how many elements it has.
    array_length: u16,
    /// In an array: the first element.
    array_data: u16,
    /// In an array of bytes: the first one.
    byte_array_data: u16,

    /// In a map of JavaScript: the table, whose elements begin with three counts.
    js_map_table: u16,

    /// The types of functions: the first, and the last.
    type_function_first: u16,
    /// The last of them.
    type_function_last: u16,
    /// What closures share.
    type_shared: u16,
    /// A scope's description.
    type_scope: u16,
    /// A script.
    type_script: u16,
    /// A code object.
    type_code: u16,
    /// What holds machine code.
    type_stream: u16,
    /// Bytecode.
    type_bytecode: u16,
    /// A map of JavaScript.
    type_js_map: u16,

    /// Whether tables of positions are written as they are from 14.0 on.
    positions_are_unsigned: bool,
}

/// Finds constants by their names without `v8dbg_`.
struct Constants<'a> {
    find: &'a dyn Fn(&str) -> Option<i32>,
}

impl Constants<'_> {
    fn any(&self, names: &[&'static str]) -> Result<u16, Unsupported> {
        let first = names.first().copied().unwrap_or_default();
        let found = names.iter().find_map(|name| (self.find)(name));
        let found = found.ok_or(Unsupported::Missing(first))?;
        u16::try_from(found).map_err(|_| Unsupported::Unreasonable(first))
    }

    fn one(&self, name: &'static str) -> Result<u16, Unsupported> {
        self.any(&[name])
    }

    fn frame(&self, name: &'static str, usual: i16) -> i16 {
        (self.find)(name).and_then(|found| i16::try_from(found).ok()).unwrap_or(usual)
    }
}

impl Layout {
    /// The layout of a version, given the constants that it exports: `find` gets a name without
    /// `v8dbg_`.
    ///
    /// # Errors
    /// See [`Unsupported`].
    pub fn new(version: Version, find: &dyn Fn(&str) -> Option<i32>) -> Result<Self, Unsupported> {
        if !cfg!(target_arch = "x86_64") {
            return Err(Unsupported::Processor);
        }
        if version < Version(11, 3, 0) {
            return Err(Unsupported::Version(version));
        }
        let constants = Constants { find };
        if find("TaggedSize") != Some(8)
            || find("SmiValueShift") != Some(1)
            || find("SmiShiftSize") != Some(31)
        {
            return Err(Unsupported::Pointers);
        }
        let mut layout = Self {
            string_data: 16,
            string_second: 24,
            array_data: 16,
            byte_array_data: 16,
            js_map_table: 24,
            positions_are_unsigned: version >= Version(14, 0, 0),
            ..Self::default()
        };
        layout.take_frames(&constants)?;
        layout.take_functions(&constants)?;
        layout.take_code(&constants, version)?;
        layout.take_strings(&constants)?;
        layout.take_types(&constants)?;
        layout.check()?;
        Ok(layout)
    }

    /// Whether the fields of a code object are apart, and those of its instructions in the order that
    /// V8 has always had. The self-test alone may not tell: the lowest bits of another field, read as
    /// the kind of code, are right by chance in one process of a dozen.
    ///
    /// # Errors
    /// [`Unsupported::Unreasonable`] if they are not.
    pub fn check(&self) -> Result<(), Unsupported> {
        let mut fields = [
            (self.code_deoptimization, 8),
            (self.code_positions, 8),
            (self.code_instruction_start, 8),
            (self.code_flags, 4),
            (self.code_instruction_size, 4),
        ];
        let in_order = fields[2..].is_sorted();
        fields.sort_unstable();
        let apart =
            fields.is_sorted_by(|&(first, size), &(next, _)| next >= first.saturating_add(size));
        if in_order && apart {
            Ok(())
        } else {
            Err(Unsupported::Unreasonable("class_Code__flags__uint32_t"))
        }
    }

    fn take_frames(&mut self, constants: &Constants<'_>) -> Result<(), Unsupported> {
        self.frame_context = constants.frame("off_fp_context_or_frame_type", -8);
        self.frame_function = constants.frame("off_fp_function", -16);
        self.frame_bytecode = constants.frame("off_fp_bytecode_array", -32);
        self.frame_bytecode_offset = constants.frame("off_fp_bytecode_offset", -40);
        self.frame_of_regexp = constants.one("frametype_IrregexpFrame")?;
        Ok(())
    }

    fn take_functions(&mut self, constants: &Constants<'_>) -> Result<(), Unsupported> {
        self.map_instance_type = constants.one("class_Map__instance_type__uint16_t")?;
        self.function_shared = constants.one("class_JSFunction__shared__SharedFunctionInfo")?;
        self.shared_script = constants.any(&[
            "class_SharedFunctionInfo__script__Tagged_HeapObject_",
            "class_SharedFunctionInfo__script_or_debug_info__HeapObject",
        ])?;
        self.shared_name = constants.any(&[
            "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_",
            "class_SharedFunctionInfo__name_or_scope_info__Tagged_Object_",
            "class_SharedFunctionInfo__name_or_scope_info__Object",
        ])?;
        self.script_name = constants.one("class_Script__name__Object")?;
        self.script_source = constants.one("class_Script__source__Object")?;
        // Not exported; it follows the ends of lines.
        self.script_id = constants.one("class_Script__line_ends__Object")?.wrapping_add(8);
        self.scope_locals = constants.one("scopeinfo_idx_ncontextlocals")?;
        self.scope_first = constants.one("scopeinfo_idx_first_vars")?;
        Ok(())
    }

    fn take_code(
        &mut self,
        constants: &Constants<'_>,
        version: Version,
    ) -> Result<(), Unsupported> {
        if version >= Version(12, 0, 0) {
            self.code_instruction_start =
                constants.one("class_Code__instruction_start__Address")?;
            self.code_instruction_size = constants.one("class_Code__instruction_size__int")?;
            self.code_flags = constants.one("class_Code__flags__uint32_t")?;
            self.code_positions = self.code_instruction_start.wrapping_sub(24);
        } else {
            // 11.3 has the same order with another end.
            self.code_positions = constants.one("class_Code__source_position_table__ByteArray")?;
            self.code_instruction_start = self.code_positions.wrapping_add(16);
            self.code_flags = self.code_instruction_start.wrapping_add(8);
            self.code_instruction_size = self.code_flags.wrapping_add(8);
        }
        self.code_deoptimization = self.code_positions.wrapping_sub(8);
        self.stream_code = 8;
        self.stream_header =
            constants.one("class_InstructionStream__instruction_start__uintptr_t")?;
        self.code_kind_mask = u32::from(constants.one("CodeKindFieldMask")?);
        self.code_kind_baseline = constants.one("CodeKindBaseline")?;
        self.bytecode_length = 8;
        self.bytecode_positions = if version >= Version(12, 0, 0) { 24 } else { 32 };
        self.bytecode_data = constants.one("class_BytecodeArray__data__uintptr_t")?;
        self.inlined_count = constants.one("DeoptimizationDataInlinedFunctionCountIndex")?;
        self.literals = constants.one("DeoptimizationDataLiteralArrayIndex")?;
        self.inlining_positions = constants.one("DeoptimizationDataInliningPositionsIndex")?;
        let plain = constants.one("DeoptimizationDataSharedFunctionInfoIndex");
        self.shared_is_wrapped = plain.is_err();
        self.optimized_shared = match plain {
            Ok(index) => index,
            Err(_) => constants.one("DeoptimizationDataWrappedSharedFunctionInfoIndex")?,
        };
        self.wrapper_shared = 8;
        Ok(())
    }

    fn take_strings(&mut self, constants: &Constants<'_>) -> Result<(), Unsupported> {
        self.first_nonstring = constants.one("FirstNonstringType")?;
        self.string_length = constants.one("class_String__length__int32_t")?;
        self.string_shape_mask = constants.one("StringRepresentationMask")?;
        self.string_sequential = constants.one("SeqStringTag")?;
        self.string_cons = constants.one("ConsStringTag")?;
        self.string_external = constants.one("ExternalStringTag")?;
        self.string_sliced = constants.one("SlicedStringTag")?;
        self.string_thin = constants.one("ThinStringTag")?;
        self.string_encoding_mask = constants.one("StringEncodingMask")?;
        self.string_one_byte = constants.one("OneByteStringTag")?;
        self.array_length = constants.one("class_FixedArrayBase__length__SMI")?;
        Ok(())
    }

    fn take_types(&mut self, constants: &Constants<'_>) -> Result<(), Unsupported> {
        let function = constants.one("type_JSFunction__JS_FUNCTION_TYPE")?;
        self.type_function_first = constants.one("FirstJSFunctionType").unwrap_or(function);
        // 11.3 exports the first of its sixteen types of functions only.
        self.type_function_last =
            constants.one("LastJSFunctionType").unwrap_or(function.wrapping_add(15));
        self.type_shared = constants.one("type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE")?;
        self.type_scope = constants.one("type_ScopeInfo__SCOPE_INFO_TYPE")?;
        self.type_script = constants.one("type_Script__SCRIPT_TYPE")?;
        self.type_code = constants.one("type_Code__CODE_TYPE")?;
        self.type_stream = constants.one("type_InstructionStream__INSTRUCTION_STREAM_TYPE")?;
        self.type_bytecode = constants.one("type_BytecodeArray__BYTECODE_ARRAY_TYPE")?;
        self.type_js_map = constants.one("type_JSMap__JS_MAP_TYPE")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake;

    #[test]
    fn fields_of_a_code_object_over_each_other_or_in_another_order_are_refused() {
        let known = fake::layout();
        let with = |change: fn(&mut super::Layout)| {
            let mut layout = known;
            change(&mut layout);
            layout.check().is_ok()
        };
        assert!(with(|_| {}));
        assert!(with(|layout| layout.code_flags -= 4), "a gap");
        assert!(!with(|layout| layout.code_flags += 2), "into the size");
        assert!(!with(|layout| layout.code_flags += 4), "on the size");
        assert!(!with(|layout| layout.code_flags += 8), "behind the size");
        assert!(!with(|layout| layout.code_flags -= 8), "in the start");
        assert!(!with(|layout| layout.code_deoptimization += 4), "in the positions");
    }
}
