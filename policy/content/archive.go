package content

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/mimetree"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

var (
	errUnreadable = errors.New("archive cannot be read")
	errTooBig     = errors.New("archive is beyond the limits")
)

// A look goes through one message, within what it has left.
type look struct {
	a       *Attachments
	ctx     context.Context
	slots   chan struct{}
	inSlot  bool
	bytes   int64 // of the message
	entries int   // of the attachment
	depth   int   // of encoded messages in the message
}

func (a *Attachments) look(ctx context.Context, slots chan struct{}) *look {
	return &look{a: a, ctx: ctx, slots: slots, bytes: orDefault(a.ArchiveSize, 64<<20), depth: a.maxDepth()}
}

func (a *Attachments) maxEntries() int { return int(orDefault(int64(a.ArchiveEntries), 1000)) }
func (a *Attachments) maxDepth() int   { return int(orDefault(int64(a.ArchiveDepth), 3)) }

func orDefault(n, def int64) int64 {
	if n <= 0 {
		return def
	}
	return n
}

// enter waits until the message may be unpacked; leave lets others.
func (l *look) enter() error {
	if l.inSlot {
		return nil
	}
	select {
	case l.slots <- struct{}{}:
		l.inSlot = true
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	}
}

func (l *look) leave() {
	if l.inSlot {
		<-l.slots
	}
}

// inside looks at the first bytes of a part and, where they are those of an
// archive, at the names in it.
func (l *look) inside(c smtpserver.Content, p *mimetree.Part, names []string) (string, error) {
	if strings.HasPrefix(p.Type, "message/") && p.Encoding != "" {
		return l.encoded(c, p, names)
	}
	body := p.Open(c)
	head := make([]byte, headLen)
	n, err := io.ReadFull(body, head)
	head = head[:n]
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	text := strings.HasPrefix(p.Type, "text/") && len(names) == 0
	if err != nil && !text && !l.a.AllowUnreadable {
		// Others may decode what cannot be decoded here.
		return called(names, p.Type) + " (cannot be decoded)", nil
	}
	if t := programType(head); t != "" && l.a.typeMatches(t) {
		return called(names, t), nil
	}
	kind := archiveKind(head, names, p.Type)
	if err != nil || l.a.SkipArchives || kind == "" {
		return "", nil
	}
	if err := l.enter(); err != nil {
		return "", err
	}
	l.entries = l.a.maxEntries()
	name, err := l.archive(kind, names, io.MultiReader(bytes.NewReader(head), body), l.a.maxDepth())
	if name != "" {
		return called(names, kind) + ": " + name, nil
	}
	if err != nil && !l.a.AllowUnreadable {
		return called(names, kind) + " (" + err.Error() + ")", nil
	}
	return "", nil
}

// encoded looks into a message that has a transfer encoding. RFC 2046, 5.2.1
// does not allow that; readers decode it all the same.
func (l *look) encoded(c smtpserver.Content, p *mimetree.Part, names []string) (string, error) {
	if err := l.enter(); err != nil {
		return "", err
	}
	if l.depth == 0 {
		return l.unreadable(names, p.Type, errTooBig)
	}
	data, err := io.ReadAll(&metered{p.Open(c), l})
	if err != nil {
		return l.unreadable(names, p.Type, err)
	}
	inner := content.Of(data)
	parts, err := mimetree.Parse(inner, mimetree.Limits{})
	if err != nil {
		return l.unreadable(names, p.Type, err)
	}
	l.depth--
	defer func() { l.depth++ }()
	for i := range parts {
		if name, err := l.forbidden(inner, &parts[i]); name != "" || err != nil {
			return name, err
		}
	}
	return "", nil
}

func (l *look) unreadable(names []string, mediaType string, err error) (string, error) {
	if l.a.AllowUnreadable {
		return "", nil
	}
	return called(names, mediaType) + " (" + err.Error() + ")", nil
}

// archive returns the first name in an archive that is not allowed. names are
// its own.
func (l *look) archive(kind string, names []string, r io.Reader, depth int) (string, error) {
	if depth == 0 {
		return "", errTooBig
	}
	switch kind {
	case zipKind:
		return l.zip(r, depth)
	case gzipKind:
		return l.gzip(r, names, depth)
	default:
		return l.tar(r, depth)
	}
}

// entry looks at one file and its names, and into it.
func (l *look) entry(names []string, open func() io.Reader, depth int) (string, error) {
	if l.entries--; l.entries < 0 {
		return "", errTooBig
	}
	for _, n := range names {
		if l.a.nameMatches(n) {
			return n, nil
		}
	}
	r := open()
	if r == nil {
		if archiveKind(nil, names, "") != "" {
			return "", errUnreadable // it has names that cannot be seen
		}
		return "", nil
	}
	b := bufio.NewReaderSize(&metered{r, l}, headLen)
	head, err := b.Peek(headLen)
	if t := programType(head); t != "" && l.a.typeMatches(t) {
		return called(names, t), nil
	}
	if kind := archiveKind(head, names, ""); kind != "" {
		return l.archive(kind, names, b, depth-1)
	}
	if err != nil && err != io.EOF {
		return "", err
	}
	return "", nil
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
	if err := m.l.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(b[:min(int64(len(b)), m.l.bytes)])
	m.l.bytes -= int64(n)
	return n, err
}

// gzip has the name that it was given, and the one that it will be unpacked
// to.
func (l *look) gzip(r io.Reader, names []string, depth int) (string, error) {
	z, err := gzip.NewReader(&metered{r, l})
	if err != nil {
		return "", errUnreadable
	}
	inner := []string{z.Name}
	for _, n := range names {
		if n, ok := strings.CutSuffix(strings.ToLower(n), ".gz"); ok {
			inner = append(inner, n)
		}
	}
	return l.entry(inner, func() io.Reader { return z }, depth)
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
		if name, err := l.entry([]string{h.Name}, func() io.Reader { return t }, depth); name != "" || err != nil {
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
		if name, err := l.entry(e.names, open, depth); name != "" || err != nil {
			return name, err
		}
	}
	// Others may go by another directory, or by none.
	names, err := zipNames(data, 8*l.a.maxEntries())
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if l.a.nameMatches(n) {
			return n, nil
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
