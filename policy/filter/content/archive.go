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
	errTooBig     = errors.New("archive exceeds the limits")
	errManyParts  = errors.New("too many parts")
)

// A look is the check of one message. Its numbers are what remains of the limits.
type look struct {
	a       *Attachments
	ctx     context.Context
	slots   chan struct{}
	inSlot  bool
	bytes   int64 // of the message
	entries int   // of the attachment
	depth   int   // levels of archives and encoded messages
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

// enter waits for a slot to unpack archives. leave releases it.
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

// inside checks the first bytes of a part, and the names in it if it is an
// archive.
func (l *look) inside(c smtpserver.Content, p *mimetree.Part, names []string) (verdict, error) {
	body := p.Open(c)
	head, err := readHead(body)
	text := strings.HasPrefix(p.Type, "text/") && len(names) == 0
	if err != nil && !text && !l.a.AllowUnreadable {
		return l.unreadable(names, p.Type, "cannot be decoded"), nil // other programs may decode it
	}
	if t := programType(head); t != "" && l.a.typeMatches(t) {
		return notAllowed(called(names, t)), nil
	}
	kind := l.kindOf(p, head, names)
	if err != nil || kind == "" {
		return verdict{}, nil
	}
	return l.unpack(kind, names, io.MultiReader(bytes.NewReader(head), body))
}

// readHead reads the first bytes of a part. A short part is not an error.
func readHead(body io.Reader) ([]byte, error) {
	head := make([]byte, headLen)
	n, err := io.ReadFull(body, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// kindOf returns the kind of archive or encoded message that a part is, or ""
// if it is none or is not unpacked.
func (l *look) kindOf(p *mimetree.Part, head []byte, names []string) string {
	switch {
	case strings.HasPrefix(p.Type, "message/") && p.Encoding != "":
		return messageKind // RFC 2046, 5.2.1 does not allow an encoding here, but programs decode it
	case l.a.SkipArchives:
		return ""
	}
	return archiveKind(head, names, p.Type)
}

// unpack checks the contents of a part that is an archive or an encoded
// message. It waits for a slot first.
func (l *look) unpack(kind string, names []string, r io.Reader) (verdict, error) {
	if err := l.enter(); err != nil {
		return verdict{}, err
	}
	if !l.nested() {
		l.entries = l.a.maxEntries()
	}
	v, err := l.archive(kind, names, r)
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return verdict{}, err
	case err != nil:
		return l.unreadable(names, kind, err.Error()), nil
	case v.name != "" && (kind != messageKind || len(names) > 0):
		v.name = called(names, kind) + ": " + v.name
	}
	return v, nil
}

// nested reports whether the check is inside an archive or an encoded message.
func (l *look) nested() bool { return l.depth < l.a.maxDepth() }

// archive returns the first entry in an archive that is not allowed. names are
// the names of the archive itself.
func (l *look) archive(kind string, names []string, r io.Reader) (verdict, error) {
	if l.depth == 0 {
		return verdict{}, errTooBig
	}
	l.depth--
	defer func() { l.depth++ }()
	switch kind {
	case zipKind:
		return l.zip(r)
	case gzipKind:
		return l.gzip(r, names)
	case messageKind:
		return l.message(r)
	default:
		return l.tar(r)
	}
}

// message checks the parts of a message in a file or with a transfer encoding.
// The parts count as entries.
func (l *look) message(r io.Reader) (verdict, error) {
	data, err := io.ReadAll(&metered{r, l})
	if err != nil {
		return verdict{}, err
	}
	inner := content.Of(data)
	parts, err := mimetree.Parse(inner, mimetree.Limits{})
	if errors.Is(err, mimetree.ErrLimit) {
		return verdict{}, errManyParts
	}
	if err != nil {
		return verdict{}, err
	}
	for i := range parts {
		if l.entries--; l.entries < 0 {
			return verdict{}, errTooBig
		}
		if v, err := l.check(inner, &parts[i]); v.name != "" || err != nil {
			return v, err
		}
	}
	return verdict{}, nil
}

// entry checks the names of a file in an archive, and its contents.
func (l *look) entry(names []string, open func() io.Reader) (verdict, error) {
	if l.entries--; l.entries < 0 {
		return verdict{}, errTooBig
	}
	for _, n := range names {
		if l.a.nameMatches(n) {
			return notAllowed(n), nil
		}
	}
	r := open()
	if r == nil {
		if archiveKind(nil, names, "") != "" {
			return verdict{}, errUnreadable // the names in it cannot be read
		}
		return verdict{}, nil
	}
	b := bufio.NewReaderSize(&metered{r, l}, headLen)
	head, err := b.Peek(headLen)
	if t := programType(head); t != "" && l.a.typeMatches(t) {
		return notAllowed(called(names, t)), nil
	}
	if kind := archiveKind(head, names, ""); kind != "" {
		return l.archive(kind, names, b)
	}
	if err != nil && err != io.EOF {
		return verdict{}, err
	}
	return verdict{}, nil
}

// metered subtracts the bytes that are read from l.bytes.
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

// gzip checks a gzip file. The file in it may be unpacked under the name in the
// gzip header, or under the name of the archive without ".gz".
func (l *look) gzip(r io.Reader, names []string) (verdict, error) {
	z, err := gzip.NewReader(&metered{r, l})
	if err != nil {
		return verdict{}, errUnreadable
	}
	inner := []string{z.Name}
	for _, n := range names {
		if n, ok := strings.CutSuffix(strings.ToLower(n), ".gz"); ok {
			inner = append(inner, n)
		}
	}
	return l.entry(inner, func() io.Reader { return z })
}

func (l *look) tar(r io.Reader) (verdict, error) {
	t := tar.NewReader(&metered{r, l})
	for {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return verdict{}, nil
		case errors.Is(err, errTooBig):
			return verdict{}, errTooBig
		case err != nil:
			return verdict{}, errUnreadable
		}
		if v, err := l.entry([]string{h.Name}, func() io.Reader { return t }); v.name != "" || err != nil {
			return v, err
		}
	}
}

func (l *look) zip(r io.Reader) (verdict, error) {
	data, err := io.ReadAll(&metered{r, l})
	if err != nil {
		return verdict{}, err
	}
	entries, err := zipDirectory(data, l.entries)
	if err != nil {
		return verdict{}, err
	}
	for _, e := range entries {
		open := func() io.Reader { return e.open(data) }
		if v, err := l.entry(e.names, open); v.name != "" || err != nil {
			return v, err
		}
	}
	// Other programs may use another directory, or none.
	names, err := zipNames(data, 8*l.a.maxEntries())
	if err != nil {
		return verdict{}, err
	}
	for _, n := range names {
		if l.a.nameMatches(n) {
			return notAllowed(n), nil
		}
	}
	return verdict{}, nil
}

// open returns a reader of an entry's contents. It is nil if the entry is
// encrypted, damaged, or compressed with an unknown method.
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
