#![no_main]

use gantry_model::Properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let properties = Properties::new(bytes);
    let found: usize = properties.pairs().map(|(name, value)| name.len() + value.len()).sum();
    assert!(found <= bytes.len());
    if let Some((name, _)) = properties.pairs().next() {
        assert!(properties.get(name).is_some());
    }
});
