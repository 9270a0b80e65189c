"""What is wrong is named, with the right code, and nothing is left behind."""

import os

import bed as testbed
from shim_client import HEADER, REQUEST, Refused, Shim, message, spec


def refused(bed, *words, **more):
    result = bed.run("c1", "true", **more)
    text = result.stderr.decode()
    assert result.returncode != 0, "it must be refused"
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    bed.ctr("container", "rm", "c1", check=False)
    return text


def refused_bundle(bed, config, code, *words, prepare=None, configured=True, **create):
    """Create over a bundle of ours must be refused; afterwards the daemon can be shut down."""
    with Shim(bed, "b1", config) as shim:
        if prepare:
            prepare(shim)
        shim.start(configured)
        refusal = shim.refused_create(**create)
        assert refusal.code == code, refusal
        for word in words:
            assert word in refusal.text, refusal
        assert shim.refused("State", f1="b1").code == "NOT_FOUND"
    bed.wait_for(lambda: not os.path.exists(shim.path), "the socket's end")


# -- the configuration


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


def test_every_bad_value_at_once(bed):
    bed.configure(machine_type="toaster", default_memory=1, kernel="relative")
    refused(bed, "machine_type", "default_memory", "kernel")


def test_emulation_not_allowed(bed):
    bed.configure(allow_emulation=False)
    refused(bed, "allow_emulation")


def test_unknown_runtime_option(bed):
    any_of = message(f1="some.Options", f2=b"x")
    refused_bundle(bed, spec("true"), "INVALID_ARGUMENT", "options", "some.Options", f10=any_of)


def test_runtime_option_of_no_file(bed):
    options = message(f1="runtimeoptions.v1.Options", f2=message(f2="/no/such.toml"))
    refused_bundle(bed, spec("true"), "INVALID_ARGUMENT", "/no/such.toml", configured=False,
                   f10=options)


# -- the bundle


def test_spec_without_process(bed):
    refused_bundle(bed, spec(process=None), "INVALID_ARGUMENT", "process")


def test_spec_that_is_no_json(bed):
    refused_bundle(bed, "{", "INVALID_ARGUMENT", "config.json")


def test_root_that_is_a_symlink_out_of_the_bundle(bed):
    def plant(shim):
        (shim.bundle / "rootfs").rmdir()
        (shim.bundle / "rootfs").symlink_to("/etc")

    refused_bundle(bed, spec("true"), "INVALID_ARGUMENT", "root.path", "symlink", prepare=plant)


def test_root_that_climbs_out_of_the_bundle(bed):
    config = spec("true", root={"path": "../../.."})
    refused_bundle(bed, config, "INVALID_ARGUMENT", "root.path", "out of the bundle")


def test_ids_with_slashes(bed):
    assert bed.run("../c1", "true").returncode != 0
    with Shim(bed, "b1", spec("true")) as shim:
        shim.start()
        refusal = shim.refused("Create", f1="../b1", f2=str(shim.bundle))
        assert refusal.code == "INVALID_ARGUMENT" and "container id" in refusal.text, refusal


# -- the wire


def test_a_frame_of_five_megabytes(bed):
    with Shim(bed, "b1", spec("true")) as shim:
        shim.start()
        refusal = shim.refused_create(f4=0, f8="x" * (5 << 20))
        assert refusal.code == "RESOURCE_EXHAUSTED", refusal
        # The bytes behind it are still understood.
        assert shim.refused("State", f1="b1").code == "NOT_FOUND"
        shim.stream += 2
        shim.socket.sendall(HEADER.pack(3, shim.stream, REQUEST, 0) + b"\xff\xff\xff")
        try:
            shim.receive()
            raise AssertionError("rubbish was not refused")
        except Refused as refusal:
            assert refusal.code == "INVALID_ARGUMENT", refusal


# -- the guest


def test_kernel_that_is_none(bed):
    bed.configure(kernel=str(bed.build / "bin/troupe-agent"))
    refused(bed, "machine", "kernel")


def false_agent(bed, how, *words):
    bed.configure(
        initrd=str(bed.build / "bin/false_agent_initrd.cpio"),
        kernel_params=f"false_agent={how}",
        agent={"reconnect_timeout_ms": 8000},
    )
    refused(bed, *words)


def test_agent_that_does_not_listen(bed):
    false_agent(bed, "deaf", "agent", "deadline exceeded")


def test_agent_that_never_answers(bed):
    false_agent(bed, "silent", "agent", "deadline exceeded")


def test_agent_that_answers_garbage(bed):
    false_agent(bed, "garbage", "agent")


if __name__ == "__main__":
    testbed.main(dict(globals()))
