# SPDX-License-Identifier: BSD-3-Clause
"""The domain that tests start: one machine with shares of many kinds, as XML for each libvirt."""

import host
import vm

# One CPU: an emulated machine with more breaks now and then while it finds these many devices
# (QEMU 10: iotlb_to_section).
XML = """<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>768</memory>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/run/boot/vmlinuz</kernel>
    <initrd>/run/boot/initramfs.cpio</initrd>
    <cmdline>console=ttyS0 {arguments}</cmdline>
  </os>
  <features><acpi/></features>
  {cpu}
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/run/domain/console'/></serial>
    <channel type='unix'>
      <source mode='bind' path='/run/domain/agent'/>
      <target type='virtio' name='agent'/>
    </channel>
    {shares}
  </devices>
</domain>
"""

SHARE = """<filesystem type='mount'>
  <driver type='virtiofs' queue='1024'/>
  {inner}
  <source {source}/>
  <target dir='{tag}'/>
</filesystem>
"""

BINARY = "<binary path='%s' xattr='on'>%%s</binary>" % host.DAEMON
CACHE = "<cache mode='always'/>"
POOL = "<thread_pool size='4'/>"
FILES = "<openfiles max='5000'/>"
LOCKS = "<lock posix='on' flock='on'/>"


def idmap(kind):
    return "<{0} start='0' target='{1}' count='1'/><{0} start='1' target='{2}' count='1000'/>".format(
        kind, host.USER, host.SUBIDS[0] + 100)


# tag: what is inside of <filesystem>. Only 9.0 passes <lock> on (the newer one refuses it for a
# daemon that has separate options); only the newer one has <openfiles> and <readonly/>; only a
# user's takes <idmap>, and no sandbox but namespaces.
OLDER = {
    "share": BINARY % (CACHE + LOCKS + POOL),
    "found": "",
    "chroot": BINARY % "<cache mode='none'/><sandbox mode='chroot'/>",
    "outside": None,            # its daemon is not libvirt's
}
NEWER = {
    "share": BINARY % (CACHE + "<sandbox mode='namespace'/>" + POOL + FILES),
    "found": "",
    "chroot": BINARY % "<cache mode='none'/><sandbox mode='chroot'/>",
    "readonly": BINARY % CACHE + "<readonly/>",
    "outside": None,
}
USERS = {
    "share": BINARY % (CACHE + POOL + FILES),
    "found": "",
    "readonly": BINARY % "" + "<readonly/>",
    "ids": BINARY % "" + "<idmap>%s%s</idmap>" % (idmap("uid"), idmap("gid")),
}
SHARES = {"bookworm": OLDER, "backports": NEWER, "session": USERS}


def share_xml(tag, inner):
    if inner is None:
        return SHARE.format(tag=tag, inner="", source="socket='/run/domain/%s.sock'" % tag)
    return SHARE.format(tag=tag, inner=inner, source="dir='/run/shares/%s'" % tag)


def cpu():
    """vm.TCG_CPU, in libvirt's words"""
    off = [word.split("=")[0] for word in vm.TCG_CPU["x86_64"].split(",")[1:]]
    return "<cpu mode='maximum'>%s</cpu>" % "".join(
        "<feature policy='disable' name='%s'/>" % name for name in off)


def xml(kind, name):
    return XML.format(name=name, arguments=vm.KERNEL_ARGUMENTS, cpu=cpu(),
                      shares="".join(share_xml(*share) for share in SHARES[kind].items()))
