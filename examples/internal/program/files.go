package program

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxFile is the largest size of a file with settings, in bytes.
const maxFile = 16 << 20

// files are the files that have been read, as they were then.
type files map[string]version

// A version identifies a state of a file.
type version struct {
	size  int64
	mtime time.Time
	info  fs.FileInfo // nil: the file could not be read
}

func (v version) same(o version) bool {
	if v.info == nil || o.info == nil {
		return v.info == nil && o.info == nil
	}
	return v.size == o.size && v.mtime.Equal(o.mtime) && os.SameFile(v.info, o.info)
}

func versionOf(path string) version {
	info, err := os.Stat(path)
	if err != nil {
		return version{}
	}
	return version{info.Size(), info.ModTime(), info}
}

// add adds a file as it is now.
func (f *files) add(path string) {
	if *f == nil {
		*f = make(files)
	}
	(*f)[path] = versionOf(path)
}

// read reads a file, without the byte order mark that editors of Windows write.
func (f *files) read(path string) ([]byte, error) {
	f.add(path)
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxFile)
	}
	return bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// changed returns the files that are not as they were.
func (f files) changed() (paths []string) {
	for path, v := range f {
		if !versionOf(path).same(v) {
			paths = append(paths, path)
		}
	}
	return paths
}

// ReadFile reads the file of a setting, without a byte order mark. If the file
// changes, the gateway reloads. An empty path returns nil.
func (k *Kit) ReadFile(setting, path string) []byte {
	if path == "" {
		return nil
	}
	k.path(setting, path)
	text, err := k.files.read(path)
	if err == nil && (bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))) {
		err = fmt.Errorf("%s: is in UTF-16: save it in UTF-8", path) // PowerShell's > writes it
	}
	if err != nil {
		k.Fault(setting, err)
		return nil
	}
	return text
}

// path keeps the name of the file of a setting, for reports.
func (l *loaded) path(setting, path string) {
	if l.paths == nil {
		l.paths = make(map[string]string)
	}
	l.paths[setting] = path
}

// Secret returns the first line of the file of a setting. The file must not be
// readable for other users.
func (k *Kit) Secret(setting, path string) string {
	text := k.SecretFile(setting, path)
	line, _, _ := strings.Cut(string(text), "\n")
	line = strings.TrimRight(line, "\r")
	if text != nil && line == "" {
		k.Fault(setting, fmt.Errorf("%s: the first line is empty", path))
	}
	return line
}

// SecretFile does the same as ReadFile, for a file that must not be readable for
// other users, such as a private key. It returns nil after a fault.
func (k *Kit) SecretFile(setting, path string) []byte {
	text := k.ReadFile(setting, path)
	if text == nil {
		return nil
	}
	if k.Exposed(path) {
		k.Fault(setting, fmt.Errorf("%s: other users can read or write it (mode %04o, want 0600)", path, k.files[path].info.Mode().Perm()))
		return nil
	}
	return text
}

// Exposed reports whether other users can read or write a file that was read.
func (k *Kit) Exposed(path string) bool {
	info := k.files[path].info
	return info != nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0
}

// Roots returns the certificates of the file of a setting; nil if path is empty.
func (k *Kit) Roots(setting, path string) *x509.CertPool {
	if path == "" {
		return nil
	}
	text, pool := k.ReadFile(setting, path), x509.NewCertPool()
	if text != nil && !pool.AppendCertsFromPEM(text) {
		k.Fault(setting, fmt.Errorf("no certificate in %s", path))
	}
	return pool
}
