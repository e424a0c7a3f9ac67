# SPDX-License-Identifier: BSD-3-Clause
"""File attributes, ACLs, extended attributes and the map of their names, labels."""

import os

import pytest

import conftest

USER = "setpriv --reuid %d --regid %d --clear-groups "
A, B = USER % (1000, 1000), USER % (1001, 1001)


# -- chattr, lsattr --------------------------------------------------------------------

CHATTR = """
echo text >f; echo log >log; mkdir d; echo inner >d/f
chattr +i f d; chattr +a log; chattr +dA log; lsattr -d f log d
(echo more >>f) 2>&1; rm -f f; mv f g; ln f g; chmod 600 f; touch -d @1 f; cat f
(echo more >>d/f); (echo x >d/new); rm -f d/f; cat d/f
echo more >>log; (echo x >log); truncate -s 0 log; rm -f log; fsop open log w , open log w+append , append Z
chattr -i f d; chattr -a log; lsattr -d f log d
echo more >>f; echo x >d/new; rm d/new; echo x >log; cat f log d/f
chattr =  f; lsattr f; chattr +j f; chattr +i nothing; ln -s f link; chattr +i link; mkfifo p; chattr +i p
"""
# Of the attributes only what was set here: the host's file system adds some of its own.
QUIET = " 2>&1 | sed -E 's|^/bin/bash|bash|; s/^([-a-zA-Z]*) /\\1 /; s/^([-a-zA-Z]{8})([-a-zA-Z]*) /\\1 /'"


@pytest.mark.parametrize("tag", ("auto", "always"))
def test_chattr(on, tag):
    place = on(tag)
    try:
        place.same("{ %s\n}%s" % (CHATTR, QUIET))
        place.run("echo x >fixed; chattr +i fixed; echo x >grows; chattr +a grows; mkdir dir; chattr +i dir")
        assert place.host("lsattr -d fixed grows dir | cut -c 5,6").out == "i-\n-a\ni-\n"
        place.view("lsattr -d fixed grows dir; lsattr -p -d dir")
        # What the host has set holds in the guest.
        place.host("chattr -i fixed dir; chattr -a grows; echo x >host; chattr +i host")
        place.run("echo y >>fixed; echo y >dir/f; echo y >grows")
        assert "not permitted" in place.run("rm -f host", check=False).err
        # An ordinary user may not.
        place.run("chown 1000:1000 fixed")
        assert "not permitted" in place.run(A + "chattr +i fixed", check=False).err
    finally:
        place.host("chattr -R -f -ia . ../%s" % os.path.basename(place.native), check=False)


# -- POSIX ACLs ------------------------------------------------------------------------

ACLS = """
umask 027; mkdir d; echo text >f; chown 0:50 f; chmod 640 f
setfacl -m u:1000:rw,g:1001:r,m::rw f; getfacl -n f; ls -l f | cut -c 1-11
setfacl -d -m u::rwx,u:1000:rwx,g::r-x,g:1001:r-x,o::- d; setfacl -m u:1000:rwx,g:1001:rx d
echo x >d/f; mkdir d/sub; mkfifo d/p; ln -s f d/link; fsop mknod chr d/null , open d rw+tmpfile , link-tmpfile d/t
(umask 077; echo x >d/g; mkdir d/sub2); fsop chmod d/g 604
getfacl -n -R d; getfattr -h -m - d/link d/f
setfacl -x g:1001 f; setfacl -k d/sub; getfacl -n f d/sub; setfacl -b f; getfacl -n f; ls -l f | cut -c 1-11
setfacl -m u:1000:r f; chmod 600 f; getfacl -n f; cp -p f copy; getfacl -n copy; chmod g=rwx copy; getfacl -n copy
getfacl -n d >acl; mkdir e; setfacl --set-file=acl e; getfacl -n e; setfacl -d -m u:1:r f
setfacl -m u:1:r d/link; getfacl -n d/f; setfacl -n -m m::x d/f; getfacl -n d/f
"""

# Who gets in. Each user's ids are in the ACL or not; root's group is not theirs.
ENTER = """
mkdir d; chmod 700 d; setfacl -m u:1000:rwx,g:1002:rx d; setfacl -d -m u:1000:rwx,g:1002:r,o::- d
echo text >d/f; mkdir d/sub; echo text >d/sub/f
for ids in 1000 1001 1002; do
    as="setpriv --reuid $ids --regid $ids --clear-groups"
    echo "user $ids"
    $as cat d/f; $as ls d; $as cat d/sub/f; $as fsop open d/f rw , mkdir d/new$ids 777 , open d/made$ids w+creat
    $as fsop access d 2 , access d/f 2 , access d/f 4 , unlink d/sub/f , chmod d/f 777 , rename plain d/f d/f
    $as setfacl -m u:$ids:rwx d; $as touch d/f
done 2>&1
echo "by a further group"; setpriv --reuid 1005 --regid 1005 --groups 7,1002,9 cat d/f
setpriv --reuid 1005 --regid 1005 --groups 7,9 cat d/f; setfacl -m u:1005:- d/f; chmod 755 d
setpriv --reuid 1005 --regid 1005 --groups 7,1002,9 cat d/f
getfacl -n -R d
echo "an own file"; chmod 777 d; setpriv --reuid 1000 --regid 1000 --clear-groups sh -c '
    echo own >d/own; setfacl -m u:1001:r,g::- d/own; getfacl -n d/own; chmod 2755 d/own'; stat -c '%a %u %g' d/own
setpriv --reuid 1001 --regid 1001 --clear-groups cat d/own
"""


@pytest.mark.parametrize("tag", ("auto", "acl") + conftest.in_full("never"))
def test_acls(on, tag):
    """auto: if the guest knows them; acl: --posix-acl=always, and set-id bits by the host."""
    place = on(tag)
    place.same("{ %s\n} 2>&1" % ACLS)
    place.view("getfacl -n -R . | grep -v '^#'; ls -lR | cut -c 1-11")


@pytest.mark.parametrize("tag", ("auto", "acl") + conftest.in_full("never"))
def test_acls_are_enforced(on, tag):
    place = on(tag)
    place.same("{ %s\n} 2>&1 | grep -v 'getcwd'" % ENTER)


def test_acls_of_the_host(on):
    """One that the host has changed is gone by at once, when names are not cached."""
    place = on("never")
    place.host("echo text >f; chmod 600 f")
    assert place.run(A + "cat f", check=False).status != 0
    place.host("setfacl -m u:1000:r f")
    assert place.run(A + "cat f").out == "text\n"
    place.host("setfacl -b f")
    assert place.run(A + "cat f", check=False).status != 0


def test_no_acls(on):
    """Without the option there are none, and modes are what counts."""
    place = on("plain")
    assert "Operation not supported" in place.run("echo x >f; setfacl -m u:1000:r f", check=False).err
    place.host("setfacl -m u:1000:r f")
    assert place.run("getfacl -n -c f").out == "user::rw-\ngroup::r--\nother::r--\n\n"


# -- maps of names, labels -------------------------------------------------------------

def test_map_of_everything(on):
    """All names go below user.virtiofs. on the host, and nothing else of it is seen."""
    place = on("map")
    place.same("""echo x >f; mkdir d; ln -s f s; mkfifo p
        for n in user.a trusted.b security.c; do setfattr -n $n -v $n f; setfattr -n $n -v $n d; done
        setfattr -x user.a d; getfattr -d -m - f d; getfattr -n user.none f 2>&1""")
    assert place.host("getfattr -d -m - f").out == \
        '# file: f\nuser.virtiofs.security.c="security.c"\nuser.virtiofs.trusted.b="trusted.b"\n' \
        'user.virtiofs.user.a="user.a"\n\n'
    place.host("setfattr -n user.host -v x f; setfattr -n trusted.host -v x f")
    assert "host" not in place.run("getfattr -d -m - f").out
    # Capabilities too, which must fall at a write all the same.
    place.run("cp /usr/bin/cat cat; setcap cap_dac_override+ep cat")
    assert place.run("getcap cat").out == "cat cap_dac_override=ep\n"
    assert place.host("getcap cat; getfattr -m - cat").out == "# file: cat\nuser.virtiofs.security.capability\n\n"
    place.run("echo secret >s2; chmod 600 s2; cp cat plain")
    assert place.run(A + "./cat s2").out == "secret\n"
    assert place.run(A + "./plain s2", check=False).status != 0
    place.run("printf x >>cat; getcap cat")
    assert place.host("getfattr -m - cat").out == ""
    assert place.run(A + "./cat s2", check=False).status != 0


def test_map_of_rules(on):
    place = on("rules")
    place.run("echo x >f; setfattr -n trusted.a -v 1 f; setfattr -n user.b -v 2 f")
    assert place.host("getfattr -d -m - f").out == '# file: f\nuser.b="2"\nuser.t.trusted.a="1"\n\n'
    assert place.run("getfattr -d -m - f").out == '# file: f\ntrusted.a="1"\nuser.b="2"\n\n'
    assert "not permitted" in place.run("setfattr -n security.x -v 1 f", check=False).err
    assert "not supported" in place.run("setfattr -n user.no.x -v 1 f", check=False).err
    place.host("setfattr -n user.hidden.x -v 1 f; setfattr -n security.y -v 1 f; setfattr -n trusted.z -v 1 f")
    assert place.run("getfattr -d -m - f").out == '# file: f\ntrusted.a="1"\nuser.b="2"\n\n'
    assert "No such attribute" in place.run("getfattr -n security.y f", check=False).err
    # The value of a hidden name is there for those who know it: the rule is the server's alone.
    assert place.run("getfattr --only-values -n user.hidden.x f").out == "1"


def test_labels(on):
    """Labels are attributes like others where the guest has no SELinux: it then sends none
    of its own, and what is there stays."""
    place = on("label")
    place.same("""echo x >f; mkdir d; ln -s f s; setfattr -h -n security.selinux -v a_u:a_r:a_t:s0 f d s
        getfattr -h -d -m security f d s; echo y >>f; mv f g; getfattr -d -m security g; cp --preserve=xattr g h
        getfattr -d -m security h""")


def test_limits(on):
    """Names of 255 bytes, values of 64 KiB as far as the host's file system goes; many; none."""
    place = on("auto")
    place.same("""touch f; setfattr -n odd.name -v x f 2>&1; n=user.$(printf %0250d 7)
        setfattr -n $n -v long f; getfattr -d f; setfattr -n ${n}8 -v x f 2>&1 | sed 's/.*: //'
        for size in 0 1 100 3000; do v=$(printf %0${size}d 0); setfattr -n user.v$size -v "$v" f 2>&1; done
        getfattr -d f | md5sum; setfattr -n user.big -v $(printf %065537d 0) f 2>&1 | sed 's/.*: //'
        touch g; for i in $(seq 40); do setfattr -n user.name$i -v $i g; done; getfattr -d g
        for i in $(seq 40); do setfattr -x user.name$i g; done; getfattr -d g; setfattr -x user.name1 g 2>&1
        mkfifo p; ln -s f s; setfattr -h -n user.x -v y p s 2>&1; setfattr -h -n trusted.x -v y p s
        getfattr -h -d -m - p s f | md5sum""")
