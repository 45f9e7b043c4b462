package mimetree

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bridgehead-mail/bridgehead/internal/header"
)

// Content is the content of a message.
type Content interface {
	io.ReaderAt
	Size() int64
}

// Limits are the limits of Parse.
type Limits struct {
	Parts  int // maximum number of parts; default 1000
	Depth  int // maximum depth of multiparts and enclosed messages; default 30
	Header int // maximum size of a part's header in bytes; default 64 KiB; at least 256 KiB for the header of the message
}

// ErrLimit is wrapped by the errors for messages that exceed the Limits.
var ErrLimit = errors.New("mimetree: the message is too complex")

// A Part is an entity of RFC 2045: the message itself, a part of a
// multipart, or a message enclosed in another.
type Part struct {
	Parent int // index of the parent part; -1 for the message itself
	Depth  int // 0 for the message itself
	// [Start, Body) is the header with its blank line. [Body, End) is the body,
	// without the CRLF that belongs to the delimiter.
	Start, Body, End int64
	Header           []byte // raw
	// Blank reports whether a blank line ends the header. If not, the line end of
	// the last field may belong to the delimiter.
	Blank bool

	Type        string // media type in lower case; "text/plain" by default
	Encoding    string // Content-Transfer-Encoding in lower case; "" if there is none
	Disposition string // "attachment", "inline" or another word, in lower case; "" if there is none

	types, dispositions []header.Params // at most maxFields each
	names               []string
	unclear             string // see Unclear
	unclearNames        bool
	unclearCoding       bool
}

// Leaf reports whether the part contains no other parts.
func (p *Part) Leaf() bool { return !p.multipart() && !p.encloses() }

func (p *Part) multipart() bool { return strings.HasPrefix(p.Type, "multipart/") && p.boundary() != "" }

// encloses reports whether the body is a message without transfer encoding.
func (p *Part) encloses() bool {
	return (p.Type == "message/rfc822" || p.Type == "message/global") && p.Encoding != "base64" && p.Encoding != "quoted-printable"
}

// A level is a multipart that has not ended.
type level struct {
	delimiter []byte // "--boundary"
	part      int
	done      bool // its closing delimiter was found
}

type parser struct {
	lim    Limits
	parts  []Part
	levels []level
	open   []int  // parts that have not ended, outermost first
	header []byte // of the innermost part, while it is read
	inHead bool
	eol    int64 // length of the line end before the current line, if it would belong to a delimiter
}

// maxBoundary is the maximum length of a boundary. RFC 2046, 5.1.1 allows 70
// characters.
const maxBoundary = 1000

// lineMax is the length of the part of a line that is examined in a body.
const lineMax = 4096

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, lineMax) }}

// Parse finds the parts of a message. The first part is the message itself. Each
// part follows its parent. Parse returns an error if it cannot read c, or if the
// message exceeds lim (ErrLimit). It runs in linear time.
func Parse(c Content, lim Limits) ([]Part, error) {
	p := &parser{lim: lim}
	if lim.Parts == 0 {
		p.lim.Parts = 1000
	}
	if lim.Depth == 0 {
		p.lim.Depth = 30
	}
	if lim.Header == 0 {
		p.lim.Header = 64 << 10
	}
	if err := p.begin(-1, 0); err != nil {
		return nil, err
	}
	r := readers.Get().(*bufio.Reader)
	r.Reset(io.NewSectionReader(c, 0, c.Size()))
	defer func() { r.Reset(nil); readers.Put(r) }()
	for off, whole := int64(0), true; ; {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, err
		}
		if len(line) > 0 {
			// The rest of a line that is too long is not a separate line.
			if e := p.line(off, line, whole, err != bufio.ErrBufferFull); e != nil {
				return nil, e
			}
		}
		off += int64(len(line))
		whole = err != bufio.ErrBufferFull
		if err == io.EOF {
			p.endTo(0, off)
			return p.parts, nil
		}
		if len(p.levels) == 0 && !p.inHead { // the body has no delimiters to find
			p.endTo(0, c.Size())
			return p.parts, nil
		}
	}
}

// begin starts a part at the offset at. parent is the index of its parent.
func (p *parser) begin(parent int, at int64) error {
	depth := 0
	if parent >= 0 {
		depth = p.parts[parent].Depth + 1
	}
	if len(p.parts) >= p.lim.Parts {
		return fmt.Errorf("%w: more than %d parts", ErrLimit, p.lim.Parts)
	}
	if depth > p.lim.Depth {
		return fmt.Errorf("%w: more than %d levels", ErrLimit, p.lim.Depth)
	}
	p.open = append(p.open, len(p.parts))
	p.parts = append(p.parts, Part{Parent: parent, Depth: depth, Start: at, Body: at, End: at})
	p.header, p.inHead = nil, true
	return nil
}

// endTo ends all open parts except the first n.
func (p *parser) endTo(n int, at int64) {
	if len(p.open) > n && p.inHead {
		// The line end before the delimiter may belong to the header around the part.
		p.headed(max(at, p.parts[p.open[len(p.open)-1]].Start))
	}
	for _, i := range p.open[n:] {
		p.parts[i].End = max(at, p.parts[i].Body)
	}
	p.open = p.open[:n]
	p.inHead = false
}

// line processes the next line, or a piece of a long line.
func (p *parser) line(off int64, line []byte, start, end bool) error {
	if start && bytes.HasPrefix(line, []byte("--")) {
		if found, err := p.delimiter(off, line); found || err != nil {
			p.eol = 0
			return err
		}
	}
	p.eol = 0
	switch {
	case !end:
	case bytes.HasSuffix(line, []byte("\r\n")):
		p.eol = 2
	case bytes.HasSuffix(line, []byte("\n")):
		p.eol = 1
	}
	if !p.inHead {
		return nil
	}
	if start && int64(len(line)) == p.eol { // the blank line
		p.eol = 0 // it belongs to the header, even if a delimiter follows
		p.parts[p.open[len(p.open)-1]].Blank = true
		return p.endOfHeader(off + int64(len(line)))
	}
	limit := p.lim.Header
	if len(p.parts) == 1 {
		limit = max(limit, 256<<10)
	}
	if len(p.header)+len(line) > limit {
		return fmt.Errorf("%w: a header is longer than %d bytes", ErrLimit, limit)
	}
	if p.header == nil {
		p.header = make([]byte, 0, headerSize(len(p.parts)))
	}
	p.header = append(p.header, line...)
	return nil
}

// headerSize returns the usual size of a header. The header of the message is longer
// than those of its parts.
func headerSize(parts int) int {
	if parts == 1 {
		return 4 << 10
	}
	return 256
}

// endOfHeader parses the header of the innermost part and starts the parts in its
// body.
func (p *parser) endOfHeader(at int64) error {
	i := p.headed(at)
	part := &p.parts[i]
	switch {
	case part.multipart():
		if b := part.boundary(); len(b) <= maxBoundary {
			p.levels = append(p.levels, level{delimiter: []byte("--" + b), part: i})
		}
	case part.encloses():
		return p.begin(i, at)
	}
	return nil
}

// headed parses the header of the innermost part and returns the part's index.
func (p *parser) headed(at int64) int {
	p.inHead = false
	i := p.open[len(p.open)-1]
	part := &p.parts[i]
	part.Body, part.Header = at, p.header
	part.read(part.Parent >= 0 && p.parts[part.Parent].Type == "multipart/digest")
	return i
}

// delimiter processes a line that begins with "--". It reports whether the line is
// a delimiter.
func (p *parser) delimiter(off int64, line []byte) (bool, error) {
	for k := len(p.levels) - 1; k >= 0; k-- {
		l := &p.levels[k]
		rest, ok := bytes.CutPrefix(line, l.delimiter)
		if !ok || l.done {
			continue
		}
		closing := bytes.HasPrefix(rest, []byte("--"))
		if closing {
			rest = rest[2:]
		}
		if len(bytes.Trim(rest, " \t\r\n")) > 0 {
			continue
		}
		p.levels = p.levels[:k+1]
		n := 0 // number of parts that stay open: the multipart and those around it
		for n < len(p.open) && p.open[n] <= l.part {
			n++
		}
		p.endTo(n, off-p.eol)
		if closing {
			l.done = true
			return true, nil
		}
		return true, p.begin(l.part, off+int64(len(line)))
	}
	return false, nil
}

// Delimits reports whether a line of text would be a delimiter line of a multipart
// around the part with index i (RFC 2046, 5.1.1).
func Delimits(parts []Part, i int, text []byte) bool {
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("--")) {
			continue
		}
		for up := parts[i].Parent; up >= 0; up = parts[up].Parent {
			if b := parts[up].boundary(); b != "" && bytes.HasPrefix(line[2:], []byte(b)) {
				return true
			}
		}
	}
	return false
}
