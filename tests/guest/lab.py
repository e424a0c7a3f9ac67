# SPDX-License-Identifier: BSD-3-Clause
"""The shares of the machine with many shares: tag, and how its daemon is started."""

# Below the folder: a tmpfs, a second one in that, and a bind mount of a neighbouring folder,
# which is the same file system.
MOUNTS = """
mkdir -p "$share"/plain "$share"/tmpfs "$share"/bind "$share"/target
echo neighbour >"$share"/target/f
mount -t tmpfs -o size=16m,mode=755 none "$share"/tmpfs
mkdir "$share"/tmpfs/inner
mount -t tmpfs -o size=8m,mode=755 none "$share"/tmpfs/inner
mount --bind "$share"/target "$share"/bind
echo tmpfs >"$share"/tmpfs/f; echo inner >"$share"/tmpfs/inner/f
"""

# A file system that can share blocks between files. Where it cannot be had the folder stays
# what it is, and tests look.
XFS = """
image=${share%/*}/xfs
truncate -s 400M "$image" && mkfs.xfs -q -m reflink=1 "$image" &&
mount -o loop "$image" "$share" && chmod 755 "$share" || :
"""

# What trusted.* names and chattr +i take on the host.
CAPS = ["--modcaps=+sys_admin:+linux_immutable"]
ALL = ["--posix-acl=auto", "--allow-mmap"]
LOCKS = ["-o", "posix_lock,flock"]


def share(cache="auto", options=(), mounts=None, caps=CAPS):
    return {"cache": cache, "options": [*options, *caps], "mounts": mounts}


SHARES = {
    # Each cache mode, with what programs on top of the mount may want.
    "auto": share("auto", ALL),
    "always": share("always", ALL + LOCKS),
    "never": share("never", ALL),
    "metadata": share("metadata", ALL + LOCKS),
    # The defaults, which have none of it.
    "plain": share("auto", caps=()),
    "uncached": share("never", caps=()),
    "acl": share("always", ["--posix-acl=always", "--killpriv-v2"]),
    "map": share("always", ["--xattrmap=:map::user.virtiofs.:"]),
    "rules": share("auto", ["--xattrmap=/prefix/all/trusted./user.t./ /bad/all/security./security./ "
                            "/unsupported/client/user.no.// /bad/server//user.hidden./ /ok/all///"]),
    "label": share("auto", ["--security-label=auto"]),
    "writeback": share("auto", ["--writeback", "--xattr"]),
    # And without any request to open or close.
    "noopen": share("always", ["--no-open", "--posix-acl=auto", "--log-level=debug"]),
    "direct": share("auto", ["--allow-direct-io"]),
    "readonly": share("auto", ["--readonly", "--posix-acl=auto"]),
    "ids": share("auto", ["--translate-uid=map:1000:100000:1000", "--translate-gid=map:1000:200000:1000",
                          "--translate-uid=forbid-guest:5000:10", "--xattr"]),
    "squash": share("auto", ["--translate-uid=squash-guest:0:4321:65536",
                             "--translate-uid=squash-host:0:77:65536",
                             "--translate-gid=squash-guest:0:4322:65536",
                             "--translate-gid=squash-host:0:78:65536"]),
    "mounts": share("auto", mounts=MOUNTS),
    "nomounts": share("auto", ["--no-announce-submounts"], MOUNTS),
    "xfs": share("auto", mounts=XFS),
    "slow": share("auto", ["-o", "timeout=3600"]),
}
