package pickup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// A dir is the folder, opened. All operations are relative to it and take file names
// without a path. Every user who may write into the folder may also put symbolic links into
// it, and may replace a file by a link at any time. So no operation follows a link: not
// even to another file in the folder, which may belong to somebody else.
type dir struct{ root *os.Root }

func openDir(name string) (dir, error) {
	root, err := os.OpenRoot(name)
	return dir{root}, err
}

func (d dir) close() { d.root.Close() }

// errNotRegular is the error for a link, a device or another file that is not regular.
var errNotRegular = errors.New("pickup: not a regular file")

// files returns the names of the regular files with this suffix, in order.
func (d dir) files(suffix string) ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.EqualFold(path.Ext(e.Name()), suffix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// read returns the content of a file of at most most bytes. It looks at the file that it
// has opened, because the name may be that of another file by now.
func (d dir) read(name string, most int64) ([]byte, error) {
	file, err := d.openFile(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	if info.Size() > most {
		return nil, fmt.Errorf("pickup: the file has %d bytes, the limit is %d", info.Size(), most)
	}
	b, err := io.ReadAll(io.LimitReader(file, most+1))
	if int64(len(b)) > most {
		return nil, fmt.Errorf("pickup: the file is larger than the limit of %d bytes", most)
	}
	return b, err
}

// create writes a new file. If there is a file or link with this name, the error is
// fs.ErrExist.
func (d dir) create(name, text string) error {
	file, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// freeName returns a name with this suffix that no file has. A program may
// always use the same name, and leave its next message while the last one is
// being submitted. One file must not replace another.
func (d dir) freeName(base, suffix string) string {
	name := base + suffix
	for n := 1; ; n++ {
		if _, err := d.root.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d%s", base, n, suffix)
	}
}

// putBack gives a file that was being submitted the suffix .eml again, so that
// the next scan finds it.
func (d dir) putBack(tmp, base string) error {
	for {
		name := d.freeName(base, ".eml")
		switch err := d.root.Link(tmp, name); { // fails if a file has the name by now
		case err == nil:
			return d.root.Remove(tmp)
		case !errors.Is(err, fs.ErrExist):
			return d.root.Rename(tmp, name) // a file system without links
		}
	}
}

// setAside renames a file to NAME.bad, and writes the reason to NAME.bad.txt. It
// returns the new name.
func (d dir) setAside(tmp, base, reason string) (name string, err error) {
	for n := 0; ; n++ {
		name = d.freeName(base, ".bad")
		if n > 0 {
			name = d.freeName(fmt.Sprintf("%s-%d", base, n), ".bad")
		}
		if err = d.create(name+".txt", reason); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if renamed := d.root.Rename(tmp, name); renamed != nil {
		d.root.Remove(name + ".txt")
		return name, renamed
	}
	return name, err
}
