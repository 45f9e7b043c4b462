// Command powerdisk is a disk with a volatile write cache, as one file in a FUSE
// mount: usually a loop device with a file system is made of it. A write is durable
// only after a later sync of the file, which a loop device makes when the file system
// flushes the disk.
//
//	powerdisk DIR MIB FLUSH
//
// serves the file DIR/disk of MIB mebibytes. Each sync takes FLUSH at least, for
// example 2ms. Commands are lines on the standard input, and each is answered with a
// line:
//
//	cut SEED  the power fails: of the unsynced writes any part survives, as SEED
//	          decides, and from now on all reads, writes and syncs fail
//	on        the power is back
//
// The first answer is "ready". At the end of the input the program unmounts the file
// and ends.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// mount has the disk as its only file.
type mount struct {
	fs.Inode
	disk *disk
}

var _ fs.NodeOnAdder = (*mount)(nil)

func (m *mount) OnAdd(ctx context.Context) {
	m.AddChild("disk", m.NewPersistentInode(ctx, m.disk, fs.StableAttr{Mode: syscall.S_IFREG}), false)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: powerdisk DIR MIB FLUSH")
	}
	mib, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	flush, err := time.ParseDuration(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	d := newDisk(mib<<20, flush)
	// DirectMount calls mount(2) and does not need the program fusermount.
	options := &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, MaxWrite: 1 << 20, FsName: "powerdisk"}}
	server, err := fs.Mount(os.Args[1], &mount{disk: d}, options)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(d.command(lines.Text()))
	}
	if err := server.Unmount(); err != nil {
		log.Fatal(err)
	}
}

// command does a command and returns the answer.
func (d *disk) command(line string) string {
	name, arg, _ := strings.Cut(line, " ")
	switch name {
	case "cut":
		seed, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return err.Error()
		}
		kept, all := d.cut(seed)
		return fmt.Sprintf("cut: %d of %d unsynced sectors survive", kept, all)
	case "on":
		d.powerOn()
		return "on"
	}
	return "unknown command " + name
}
