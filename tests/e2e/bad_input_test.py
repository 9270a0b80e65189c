"""What is wrong is named, and nothing is left behind."""

import bed as testbed


def refused(bed, *words, **more):
    result = bed.run("c1", "true", **more)
    text = result.stderr.decode()
    assert result.returncode != 0, "it must be refused"
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    bed.ctr("container", "rm", "c1", check=False)
    return text


def test_missing_kernel(bed):
    bed.configure(kernel="/no/such/kernel")
    refused(bed, "kernel", "/no/such/kernel", "invalid argument")


def test_missing_initrd(bed):
    bed.configure(initrd="/no/such/initrd")
    refused(bed, "initrd", "/no/such/initrd", "invalid argument")


def test_broken_toml(bed):
    bed.config.write_text("[runtime\n")
    refused(bed, "troupe.toml", "invalid argument")


def test_bad_value(bed):
    bed.configure(machine_type="toaster")
    refused(bed, "machine_type", "toaster")


def test_emulation_not_allowed(bed):
    bed.configure(allow_emulation=False)
    refused(bed, "allow_emulation")


def test_kernel_that_never_answers(bed):
    bed.configure(kernel=str(bed.build / "bin/troupe-agent"))
    refused(bed, "boot")


def test_ids_with_slashes(bed):
    result = bed.run("../c1", "true")
    assert result.returncode != 0


if __name__ == "__main__":
    testbed.main(dict(globals()))
