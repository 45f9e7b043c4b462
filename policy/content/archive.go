package content

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

var (
	errUnreadable = errors.New("archive cannot be read")
	errTooBig     = errors.New("archive is beyond the limits")
)

// inside looks at the first bytes of a part and, where they are those of an
// archive, at the names in it.
func (a *Attachments) inside(c smtpserver.Content, p *mimetree.Part, names []string) (string, error) {
	body := p.Open(c)
	head := make([]byte, tarMagic+5)
	n, err := io.ReadFull(body, head)
	head = head[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF && !strings.HasPrefix(p.Type, "text/") && !a.AllowUnreadable {
		// Others may decode what cannot be decoded here.
		return called(names, p.Type) + " (cannot be decoded)", nil
	}
	if t := programType(head); t != "" && a.typeMatches(t) {
		return called(names, t), nil
	}
	kind := archiveKind(head)
	if a.SkipArchives || kind == "" {
		return "", nil
	}
	l := &look{a: a, bytes: orDefault(a.ArchiveSize, 32<<20), entries: int(orDefault(int64(a.ArchiveEntries), 1000)), depth: int(orDefault(int64(a.ArchiveDepth), 3))}
	var name string
	if err == nil || err == io.ErrUnexpectedEOF {
		name, err = l.archive(kind, io.MultiReader(bytes.NewReader(head), body), l.depth)
	}
	if name != "" {
		return called(names, kind) + ": " + name, nil
	}
	if err != nil && !a.AllowUnreadable {
		return called(names, kind) + " (" + err.Error() + ")", nil
	}
	return "", nil
}

func orDefault(n, def int64) int64 {
	if n <= 0 {
		return def
	}
	return n
}

func programType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("MZ")):
		return "application/x-msdownload"
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "application/x-executable"
	}
	return ""
}

const tarMagic = 257 // offset of "ustar"

func archiveKind(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return "zip archive"
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip archive"
	case len(head) >= tarMagic+5 && string(head[tarMagic:tarMagic+5]) == "ustar":
		return "tar archive"
	}
	return ""
}

// A look goes through one attachment, within what it has left.
type look struct {
	a       *Attachments
	bytes   int64
	entries int
	depth   int
}

// archive returns the first name in an archive that is not allowed.
func (l *look) archive(kind string, r io.Reader, depth int) (string, error) {
	if depth == 0 {
		return "", errTooBig
	}
	switch kind {
	case "zip archive":
		return l.zip(r, depth)
	case "gzip archive":
		return l.gzip(r, depth)
	default:
		return l.tar(r, depth)
	}
}

// entry looks at one name, and into what it names.
func (l *look) entry(name string, open func() io.Reader, depth int) (string, error) {
	if l.entries--; l.entries < 0 {
		return "", errTooBig
	}
	if l.a.nameMatches(name) {
		return name, nil
	}
	r := open()
	if r == nil {
		if likeArchive(name) {
			return "", errUnreadable
		}
		return "", nil
	}
	b := bufio.NewReaderSize(&metered{r, l}, 512)
	head, err := b.Peek(tarMagic + 5)
	if t := programType(head); t != "" && l.a.typeMatches(t) {
		return name, nil
	}
	if kind := archiveKind(head); kind != "" {
		return l.archive(kind, b, depth-1)
	}
	if err != nil && err != io.EOF {
		return "", err
	}
	return "", nil
}

// likeArchive says whether a name promises more names, which cannot be seen.
func likeArchive(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".zip", ".gz", ".tgz", ".tar", ".jar":
		return true
	}
	return false
}

// metered takes what is read from the look's bytes.
type metered struct {
	r io.Reader
	l *look
}

func (m *metered) Read(b []byte) (int, error) {
	if m.l.bytes <= 0 {
		return 0, errTooBig
	}
	n, err := m.r.Read(b[:min(int64(len(b)), m.l.bytes)])
	m.l.bytes -= int64(n)
	return n, err
}

func (l *look) gzip(r io.Reader, depth int) (string, error) {
	z, err := gzip.NewReader(&metered{r, l})
	if err != nil {
		return "", errUnreadable
	}
	return l.entry(z.Name, func() io.Reader { return z }, depth)
}

func (l *look) tar(r io.Reader, depth int) (string, error) {
	t := tar.NewReader(&metered{r, l})
	for {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return "", nil
		case errors.Is(err, errTooBig):
			return "", errTooBig
		case err != nil:
			return "", errUnreadable
		}
		if name, err := l.entry(h.Name, func() io.Reader { return t }, depth); name != "" || err != nil {
			return name, err
		}
	}
}

func (l *look) zip(r io.Reader, depth int) (string, error) {
	data, err := io.ReadAll(&metered{r, l})
	if err != nil {
		return "", err
	}
	entries, err := zipDirectory(data, l.entries)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		open := func() io.Reader { return e.open(data) }
		if name, err := l.entry(e.name, open, depth); name != "" || err != nil {
			return name, err
		}
		if local := e.localName(data); local != e.name && l.a.nameMatches(local) {
			return local, nil
		}
	}
	return "", nil
}

// open reads an entry, or is nil where it is encrypted or packed in a way that
// is not known here.
func (e *zipEntry) open(data []byte) io.Reader {
	body := e.body(data)
	switch {
	case e.encrypted || body == nil:
		return nil
	case e.method == 0:
		return bytes.NewReader(body)
	case e.method == 8:
		return flate.NewReader(bytes.NewReader(body))
	}
	return nil
}
