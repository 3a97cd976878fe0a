//! What comes from outside: wrong arguments, and files of all kinds.

use crate::support::*;

#[test]
fn wrong_arguments_give_a_status_and_a_text_and_change_nothing() {
    let folder = folder("border");
    tiny(&folder, &["--batch", "1,4"]);
    let program = build(&folder, "tiny", "border");
    assert_eq!(run(program, [&folder]), "fine\n");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("partial")), "{left:?}");
}

#[test]
fn no_memory_is_a_status() {
    let folder = folder("memory");
    tiny(&folder, &["--batch", "4", "--threads", "none", "-q"]);
    assert_eq!(run(build(&folder, "tiny", "memory"), [""; 0]), "fine\n");
}

#[test]
fn damaged_files_are_refused_or_give_exactly_what_was_saved() {
    let folder = folder("fuzz");
    tiny(&folder, &["--batch", "4"]);
    let program = build(&folder, "tiny", "fuzz");
    let said = run(program, [folder.join("saved"), folder.join("damaged"), "12000".into()]);
    assert!(said.contains("malformed"), "{said}");
}

#[test]
fn files_are_safetensors() {
    let folder = folder("safetensors");
    tiny(&folder, &["--batch", "4"]);
    let program = build(&folder, "tiny", "fuzz");
    let saved = folder.join("saved");
    run(program, [&saved, &folder.join("damaged"), &"0".into()]);
    let bytes = std::fs::read(&saved).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["bessemer.model"], "tiny");
    assert_eq!((&*metadata["bessemer.step"], &*metadata["bessemer.seed"]), ("3", "5"));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kernel = file.tensor("logits/kernel").unwrap();
    assert_eq!((kernel.shape(), kernel.dtype()), (&[6, 3][..], safetensors::Dtype::F32));
    assert!(file.names().iter().any(|name| name.ends_with("/adam/m")), "{:?}", file.names());
}

#[test]
fn a_file_of_another_model_is_refused_with_the_first_difference() {
    let folder = folder("other-model");
    tiny(&folder, &["--batch", "4"]);
    let program = build(&folder, "tiny", "fuzz");
    run(program, [&folder.join("saved"), &folder.join("damaged"), &"0".into()]);
    let says = |change: fn(String) -> String| {
        let other = self::folder("other-model-2");
        tiny_with(&other, &["--batch", "4"], change);
        let program = build(&other, "tiny", "load");
        run(program, [&folder.join("saved")])
    };
    let text = says(|text| text.replace("[6,3]", "[5,3]").replace("[N,6]", "[N,5]"));
    assert!(
        text.contains("6: ")
            && text.contains("`logits/kernel` is f32[5,3] in `tiny`, but F32[6,3] in the file"),
        "{text}"
    );
    let text = says(|text| text.replace("logits/bias", "logits/offset"));
    assert!(text.contains("it has `logits/bias`, which `tiny` has not"), "{text}");
    let text = says(|text| text.replace("adam(lr = 0.01)", "sgd(lr = 0.01)"));
    assert!(text.contains("which `tiny` has not"), "{text}");
    let text = says(|text| text.replace("adam(lr = 0.01)", "adam(lr = 0.02)"));
    assert!(text.starts_with("0: "), "{text}");
}
