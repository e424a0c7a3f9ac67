# SPDX-License-Identifier: BSD-3-Clause
"""Every call that makes, changes, names or shows files: the guest sees and does what the
host does. place.same() runs one script on both sides, in a folder each; place.view() shows
both sides the same folder."""

import os
import time

import pytest

import conftest

FULL = conftest.MATRIX is conftest.FULL
DEPTH = 60 if FULL else 30      # of folders; without a cache, each step of a path is a request
ENTRIES = 20000 if FULL else 5000

LIST = r"find . -mindepth 1 -printf '%p %y %m %U:%G %n %s %l %T@\n' | sort; "
# Without times and without the size of folders, which depends on their history.
LIST_PLAIN = r"find . -mindepth 1 \( -type d -printf '%p %y %m %U:%G %n\n' -o -printf '%p %y %m %U:%G %n %s %l\n' \) | sort; "


def test_modes(place):
    place.same("""
        for m in 0 400 644 755 4755 2755 6711 1644; do
            touch f$m && chmod $m f$m; mkdir d$m && chmod $m d$m
        done
        for u in 000 022 077 777; do (umask $u; echo x >u$u; mkdir v$u; mkfifo w$u); done
        stat -c '%n %a %f %F %h %u %g' *""")
    place.view("stat -c '%n %a %f %F %h %u %g %i %.9X %.9Y %.9Z' * .")


def test_owners(place):
    place.same("""
        touch a b c; ln -s a s; mkdir d
        chown 1:2 a; chown :70000 b; chown 4000000 c; chown -h 5:6 s; chown 7:8 d
        chmod 6755 a; chown 9 a
        chmod 2755 d; touch d/x; mkdir d/y
        stat -c '%n %a %u %g' * d/*""")
    place.view("stat -c '%n %a %u %g' * d/*")


def test_times(place):
    place.same("""
        touch -d '2001-02-03 04:05:06.123456789' a
        touch -d '1969-12-31 23:59:58.5' b
        touch -d '2200-01-01 00:00:00.000000001' c
        mkdir d; touch -d '2010-10-10 10:10:10.101010101' d
        ln -s a s; touch -h -d '2011-11-11 11:11:11.111111111' s
        touch f; fsop utimens f 5 7 9 11
        touch g; touch -a -d @3 g; touch -m -d @4.000000004 g
        stat -c '%n %.9X %.9Y' *""")
    place.view("stat -c '%n %.9X %.9Y %.9Z' * .")
    place.run("touch now; mkdir now.d")
    now = time.time()
    for name in ("now", "now.d"):
        assert abs(os.stat(os.path.join(place.path, name)).st_mtime - now) < 10


def test_links(place):
    long = "n" * 200 + "/" + "m" * 250
    place.same("""
        echo text >a; ln a b; ln b c; stat -c '%%n %%h' a b c; rm a; stat -c '%%n %%h' b c; cat c
        ln -s c s; ln -s nowhere dangling; ln -s . self; ln -P s hard-of-s
        stat -c '%%n %%F %%h %%s' *; readlink s dangling self hard-of-s
        cat s; cat dangling; cat self/self/self/s; stat -L -c %%F self
        fsop symlink %s long , readlink long , symlink '' empty , link c c , link . d , link none e
        mkdir sub; ln c sub/c; mv sub/c .; ls sub
        """ % long + LIST_PLAIN)
    place.view(LIST)


def test_what_was_only_listed_is_moved_and_removed(place):
    """The daemon has not opened these files when the guest takes their names away."""
    for folder in (place.path, place.native):
        for name in "abcdefgh":
            with open(os.path.join(folder, name), "w") as file:
                file.write(name * 3 + "\n")
        os.link(os.path.join(folder, "a"), os.path.join(folder, "a2"))
        os.symlink("b", os.path.join(folder, "s"))
        os.mkdir(os.path.join(folder, "sub"))
    place.same("""
        ls -l | wc -l
        fsop open a path , unlink a , fstat; cat a2
        fsop open b path , rename plain b b2 , fstat , unlink b2 , fstat
        fsop open c path , rename plain d c , fstat; cat c
        fsop rename exchange e f; cat e f
        mv g sub/h; mv h sub/h; cat sub/h; readlink s
        chmod 600 f; ln f f2; rm f; stat -c '%a %h %s' f2 c
        """ + LIST_PLAIN)
    place.view(LIST)


def test_host_replaces_what_was_only_listed(place):
    """The guest's kernel knows the name; what it finds is what is there now, at once."""
    kind = place.host("stat -f -c %T .").out.strip()
    if kind not in ("ext2/ext3", "xfs", "btrfs", "tmpfs"):
        pytest.skip("%s does not tell when files were born" % kind)
    for name in ("replaced", "moved", "removed"):
        with open(os.path.join(place.path, name), "w") as file:
            file.write("old\n")
    place.run("ls -l")
    time.sleep(0.05)                    # the host dates files by a clock that ticks
    with open(os.path.join(place.path, "new"), "w") as file:
        file.write("new\n")
    place.host("mv new replaced; mv moved elsewhere; rm removed")
    assert place.run("cat replaced").out == "new\n"
    assert "No such file" in place.run("cat moved", check=False).err
    assert "No such file" in place.run("cat removed", check=False).err
    assert place.run("cat elsewhere").out == "old\n"


def test_renames(place):
    place.same("""
        echo 1 >f1; echo 2 >f2; mkdir -p full/x empty empty2 deep/a/b
        fsop rename plain f1 f2 , rename plain none f2 , rename plain empty empty2 \\
            , rename plain empty2 full , rename plain f2 full , rename plain full f2 \\
            , rename plain deep deep/a/b , rename plain f2 f2 , rename plain f2 empty2/moved
        cat empty2/moved
        echo a >a; echo b >b; mkdir c; ln a a2
        fsop rename noreplace a b , rename noreplace a new , rename noreplace new c , rename plain new a
        fsop rename exchange a b , rename exchange a none , rename exchange b c
        fsop rename plain a a2 , rename exchange+noreplace a b
        cat a c 2>&1; mv full renamed; mv renamed/x renamed/y; ls -R
        """ + LIST_PLAIN)
    place.view(LIST)


def test_rename_of_working_folder(place):
    place.same("""
        mkdir -p a/b; cd a/b; echo x >f; mv ../../a ../../c; cat f; echo y >g; ls ..; ls ../../c/b
        cd ..; rmdir b 2>&1 | sed 's/.*: //'; rm -r b; ls""")


def test_removed_working_folder(place):
    place.same("""
        mkdir d; cd d; rmdir ../d
        fsop open f rw+creat , mkdir x 755 , stat f , listdir . 0 , open . dir , fstat
        cd ..; ls""")


def test_special_files(place):
    place.same("""
        fsop mknod fifo p , mknod sock s , mknod chr c , mknod blk b , mknod reg r , mknod reg r
        stat -c '%n %F %a %t:%T %s' *
        (echo through the pipe >p &) ; cat p
        fsop open s r , open p w+nonblock
        cat r; rm p s c b; ls""")
    place.run("fsop mknod chr null")
    assert os.stat(os.path.join(place.path, "null")).st_rdev == os.makedev(1, 3)


def test_truncate(place):
    place.same("""
        echo 0123456789 >f; truncate -s 4 f; cat f; truncate -s 9 f; od -c f
        truncate -s 5G big; stat -c %s big; truncate -s +7 big; stat -c %s big
        fsop truncate f -1 , truncate none 1 , truncate . 1 , truncate f 9223372036854775807
        fsop open f rw , ftruncate 2 , fstat , ftruncate 100000 , fstat , read 0 4 , open f r , ftruncate 1
        echo new >f; cat f; fsop open f w+trunc , fstat
        printf x | dd of=big bs=1 seek=5000000000 conv=notrunc status=none; stat -c %s big
        fsop open big r , read 4999999999 3""")
    place.view("stat -c '%n %s' *; sha256sum f")


def test_holes(place):
    place.same("""
        fsop open f rw+creat , write 0 start , write 1000000 end , fsync all , map \\
            , seek data 300000 , seek hole 0 , seek data 2000000 , seek end -3
        fsop open g rw+creat , fallocate alloc 0 262144 , fstat , fallocate keep 262144 65536 , fstat \\
            , write 0 text , write 131072 more , fsync all , fallocate punch 131072 65536 \\
            , read 131072 4 , fallocate zero 0 4096 , read 0 4 , fstat \\
            , fallocate alloc 0 0 , fallocate alloc -1 5
        fallocate -l 100000 h; stat -c '%n %s' h
        head -c 300000 /dev/zero | tr '\\0' z >z; sync z; fallocate -p -o 65536 -l 131072 z
        fsop open z r , fsync all , map; sha256sum f g h z""")
    place.view("sha256sum *; stat -c '%n %s' *")


def test_statfs(place):
    place.view("fsop statvfs . ; stat -f -c '%l %S' .")


def test_names(place):
    n255 = "n" * 255
    place.same(r"""
        touch %(n)s && mkdir d && touch d/%(n)s && ln -s %(n)s l; stat -c %%F l
        fsop open x%(n)s rw+creat , mkdir x%(n)s 755 , stat x%(n)s , symlink a x%(n)s , rename plain l x%(n)s
        touch -- "a b" $'new\nline' $'tab\t' 'back\slash' -dash ' lead' 'trail ' "quote'\"" $'\303\244\342\202\254' $'\377\376bad' '*' '...' '..a'
        ls -bA; for f in *; do echo "$f" >"./$f"; done 2>/dev/null; cat ./* 2>/dev/null | sha256sum
        mv ./'*' star; rm -- -dash; ls -bA | sha256sum""" % {"n": n255})
    place.view("ls -bA; " + LIST)


def test_deep_folders(place):
    place.same("""
        top=$PWD; depth=%d
        for i in $(seq $depth); do mkdir folder-with-a-longer-name-$i && cd folder-with-a-longer-name-$i || break; done
        echo bottom >f; cat f; pwd -P | sed 's/.*folder-with/folder-with/'; ls ../../..
        cd $top; fsop stat $(printf 'folder-with-a-longer-name-%%d/' $(seq $depth))f | sed 's/ mtime.*//'
        fsop stat $(printf 'folder-with-a-longer-name-%%d/' $(seq 150))f
        find . | wc -lc; find . -type f | wc -l; rm -rf folder*; ls -A""" % DEPTH)


def test_large_folder(place):
    names = [("entry-%d-" % i) + "x" * (i % 90) for i in range(ENTRIES)]
    for name in names:
        os.close(os.open(os.path.join(place.path, name), os.O_CREAT | os.O_WRONLY))
    place.view("ls -A | sha256sum; ls -fA | wc -l; fsop listdir . 0 , listdir . 777 , listdir . %d" % (ENTRIES - 1))
    place.run("rm entry-1[0-4]*; touch one more")
    place.view("ls -A | sha256sum; ls -fA | wc -l")


def test_errors(place):
    place.same("""
        mkdir -p d/sub; echo text >f; ln -s loop2 loop1; ln -s loop1 loop2; ln -s f to-f; ln -s d to-d
        fsop open none r , open none/x r , open f/x r , stat f/x , open d rw , open d w+creat , open loop1 r \\
            , open to-f r+nofollow , open to-f r+creat+excl , open f rw+creat+excl , open f r+dir , open to-d/sub r
        fsop mkdir d 755 , mkdir f 755 , mkdir none/x 755 , mkdir f/x 755 , mkdir loop1/x 755
        fsop rmdir d , rmdir f , rmdir none , rmdir d/. , rmdir d/.. , rmdir to-d , unlink d , unlink none , unlink f/x
        fsop link f d , link none x , link d x , link f none/x , symlink x f , symlink x none/x
        fsop rename plain f none/x , rename plain none x , rename plain f/x y , rename plain d/. x , rename plain d/sub d
        fsop readlink f , readlink none , readlink d , mknod fifo f , mknod fifo none/x , chdir f , chdir none
        fsop open f r , write 0 x , open f w , read 0 1 , open f r , ftruncate 0 , seek set -1 , seek data 100
        fsop chmod none 644 , chown none 1 1 , truncate none 0 , truncate d 0 , utimens none 1 1 1 1
        fsop access f 2 , access none 0 , access f 1 , listdir f 0 , listdir none 0
        """ + LIST_PLAIN)


def test_other_user(place):
    """What user 1000 of the guest makes belongs to it, and what it may not do fails."""
    place.same("""
        mkdir -m 777 open; mkdir -m 755 shut; mkdir -m 1777 sticky; mkdir open/setgid
        chown 0:50 open/setgid; chmod 2777 open/setgid
        echo secret >shut/secret; chmod 600 shut/secret; echo mine >sticky/root; chmod 666 sticky/root
        fsop as 1000 1000 , open open/f rw+creat , append text , mkdir open/d 755 , mknod fifo open/p \\
            , symlink f open/s , open open/d/x w+creat , open open/setgid/y w+creat , mkdir open/setgid/z 755 \\
            , open shut/new w+creat , mkdir shut/new 755 , open shut/secret r , unlink shut/secret \\
            , unlink sticky/root , rename plain sticky/root sticky/x , open sticky/root w+trunc \\
            , chmod sticky/root 777 , chown open/f 0 0 , chown open/f 1000 1000 , chmod open/f 600 \\
            , truncate shut/secret 0 , utimens sticky/root 1 1 1 1 , link shut/secret open/l \\
            , access shut 2 , access open/f 6 , rename plain open/f open/g
        """ + LIST_PLAIN)
    place.view(LIST)
    for name in ("open/g", "open/d", "open/p", "open/d/x"):
        st = os.lstat(os.path.join(place.path, name))
        assert (st.st_uid, st.st_gid) == (1000, 1000), name


def test_set_id_bits(place):
    """A write by somebody else, and a change of owner, takes them."""
    place.same("""
        for f in write root-write truncate chown; do echo x >$f; chmod 6777 $f; done
        fsop as 1000 1000 , open write w , append y , truncate truncate 0
        echo y >>root-write; chown 1 chown; stat -c '%n %a' *""")


def test_copy(place):
    place.same("""
        head -c 3000000 /dev/zero | tr '\\0' c >a; echo END >>a; cp a b; cmp a b
        fsop open c rw+creat , copy a 0 0 1000000 , fstat , copy a 2999990 5 100 , fstat , copy none 0 0 5
        cp --reflink=auto a d; cp --sparse=always a e; truncate -s 1M hole; cp --sparse=always hole hole2
        sha256sum *; stat -c '%n %s' *""")
    place.view("sha256sum *")


def test_append_by_two(place):
    place.same("""
        fsop open f rw+creat+append , append-many 'first writer
' 400 & fsop open f rw+creat+append , append-many 'second one
' 400 & wait
        sort f | uniq -c; stat -c %s f""")
    place.view("sha256sum f")


def test_unlinked_but_open(place):
    place.same("""
        fsop open f rw+creat , write 0 hello , unlink f , stat f , read 0 10 , write 5 ' world' , fstat \\
            , ftruncate 3 , fstat , fchmod 600 , fstat , read 0 10 , fsync all , close
        exec 5<>g; rm g; echo text >&5; cat /proc/self/fd/5; echo other >g; cat g; exec 5>&-
        exec 6<.; mkdir d; exec 7<d; rmdir d; ls /proc/self/fd/7; exec 6>&- 7>&-; ls""")


def test_mmap(place):
    if place.cache not in ("auto", "always"):
        pytest.skip("cache=%s: files are not mapped for writing" % place.cache)
    place.same("""
        fsop open f rw+creat , ftruncate 20000 , mmap-write 10000 'by the map' , read 10000 10 , mmap-read 10000 10 \\
            , write 10003 THE , mmap-read 10000 10
        sha256sum f; cp /usr/bin/true t; ./t; echo $?""")
    place.view("sha256sum *")


def test_execute(place):
    place.same("cp /usr/bin/echo e; ./e runs; printf '#!./e\\n' >script; chmod 755 script; ./script a")


def test_large_requests(place):
    """Block sizes from odd to more than one request takes."""
    for size in (1, 511, 4097, 65536 + 1, 1048576 - 4096, 1048576, 3 * 1048576 + 5):
        place.same("""head -c %d /dev/zero | tr '\\0' k >src
            dd if=src of=dst bs=%d status=none; cmp src dst; dd if=dst bs=%d status=none | sha256sum
            dd if=src of=dst bs=%d status=none conv=notrunc oflag=append; stat -c %%s dst; rm src dst""" % ((size,) * 4))


def test_direct(place):
    place.same("""
        head -c 2097152 /dev/zero | tr '\\0' q >src
        dd if=src of=dst bs=1M oflag=direct status=none; dd if=dst bs=64k iflag=direct status=none | sha256sum
        dd if=src of=dst bs=4096 count=3 seek=5 oflag=direct conv=notrunc status=none; sha256sum dst""")
    place.view("sha256sum *")


def test_flock(place):
    place.same("""
        touch l; exec 5<>l; flock -n 5 && echo got; flock -n l echo inner; echo $?
        flock -u 5; flock -n l echo inner; exec 5>&-""")


def test_host_changes(place):
    """What the host changes shows in the guest when its cache has run out."""
    if place.cache == "always":
        pytest.skip("cache=always: the guest never looks again")
    with open(os.path.join(place.path, "f"), "w") as f:
        f.write("one")
    assert place.run("cat f; ls").out == "onef\n"
    os.unlink(os.path.join(place.path, "f"))
    with open(os.path.join(place.path, "f"), "w") as f:
        f.write("two and more")
    with open(os.path.join(place.path, "g"), "w") as f:
        f.write("g")
    if place.cache == "metadata":
        pytest.skip("cache=metadata: names and attributes are not looked up again")
    time.sleep(0 if place.cache == "never" else 1.5)
    assert place.run("cat f; ls").out == "two and moref\ng\n"
