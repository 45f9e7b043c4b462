package smtpserver

import (
	"fmt"
	"os"
	"sync"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

const (
	firstChunk = 64 << 10  // largest first chunk of content in memory
	laterChunk = 256 << 10 // largest next chunks
	spillSize  = 64 << 10  // bytes that are written to a file at once

	// minHeader is how long a header may be even when the memory for content
	// (Limits.TotalMemory) is used up.
	minHeader = 16 << 10
)

var spillBuffers = sync.Pool{New: func() any { b := make([]byte, 0, spillSize); return &b }}

// intake collects the content of one message: in memory while it is small, and
// in a file beyond that. After the first error it only counts bytes.
type intake struct {
	s *Session
	m *Message

	text textReader
	pace pace
	size int64 // of the content so far
	hint int64 // SIZE as declared: a hint, never trusted

	chunk  []byte   // the chunk that is being filled
	start  int      // offset of the body in chunk
	full   [][]byte // the body before chunk
	inMem  int64    // bytes counted in Server.contentMemory
	head   header.Scanner
	headed bool // the header is complete

	share    contentShare // of the ContentBudget
	spill    *[]byte      // content that is not yet written to the file
	fileSize int64

	refused *verdict
}

func (s *Session) newIntake() *intake {
	in := &intake{s: s, m: s.msg, hint: s.msg.Options.Size, pace: s.newPace()}
	in.share = contentShare{budget: s.srv.content, began: in.pace.began, session: s}
	in.text = textReader{maxLine: s.lim.TextLine, fix: s.bare == BareNormalize, bareLF: &s.lfOnly}
	return in
}

// put adds content.
func (in *intake) put(p []byte) {
	in.size += int64(len(p))
	if in.refused != nil || len(p) == 0 {
		return
	}
	if in.size > in.s.maxSize {
		in.refuse(refusal(552, 5, 3, 4, fmt.Sprintf("Message is longer than %d bytes", in.s.maxSize)))
		return
	}
	if !in.share.take(int64(len(p))) {
		return // the session ends, see givenUp
	}
	if in.headed || in.m.file != nil {
		in.putBody(p)
		return
	}
	in.putHeader(p)
}

func (in *intake) refuse(e *smtp.SMTPError) { in.refused = &verdict{reply: e, by: "limits"} }

// putHeader collects the header in one chunk, together with the part of the
// body that comes with it. If the body goes to a file, the chunk contains only
// the header.
func (in *intake) putHeader(p []byte) {
	var body []byte
	var done bool
	if in.chunk == nil {
		done = in.head.Scan(p, false)
		if done && in.needsFile() {
			n := in.head.End + in.head.Blank
			p, body = p[:n:n], p[n:]
		}
		in.newChunk(p, body != nil)
	} else {
		was := cap(in.chunk)
		in.chunk = append(in.chunk, p...)
		in.reserve(int64(cap(in.chunk) - was))
		done = in.head.Scan(in.chunk[in.head.End:], false)
	}
	switch {
	case int64(in.head.End) > in.s.lim.HeaderSize, !done && int64(len(in.chunk)) > in.s.lim.HeaderSize:
		in.refuse(refusal(552, 5, 3, 4, fmt.Sprintf("Header is longer than %d bytes", in.s.lim.HeaderSize)))
	case !done && len(in.chunk) > minHeader && !in.withinBudget():
		in.refuse(refusal(452, 4, 3, 1, "Not enough memory"))
	case done:
		in.endHeader()
		if in.refused == nil && len(body) > 0 {
			in.putBody(body)
		}
	}
}

// endHeader sets the header of the message and calls EndOfHeaders of the
// agents.
func (in *intake) endHeader() {
	in.headed = true
	in.m.setHeader(&in.head, in.chunk)
	in.start = in.head.End + in.head.Blank
	if in.isLoop() { // RFC 5321, 6.3; RFC 3463, 3.5
		in.refuse(refusal(554, 5, 4, 6, "Too many hops: mail loop"))
		return
	}
	if in.refused = in.s.ask(func(a *Agent) error {
		if a.EndOfHeaders == nil {
			return nil
		}
		return a.EndOfHeaders(in.s.ctx, in.s, in.m)
	}); in.refused != nil {
		return
	}
	if in.needsFile() {
		in.toFile()
	}
}

// isLoop reports whether the message has passed more hosts than Limits.Hops
// allows.
func (in *intake) isLoop() bool {
	most, h := in.s.lim.Hops, &in.m.Header
	if most >= noLimitInt {
		return false
	}
	n := h.Count("Received")
	if n == most+1 && addr.FoldDomain(header.By(h.Get("Received"))) == addr.FoldDomain(in.s.Helo()) {
		n-- // the client added it when it accepted the message
	}
	return n > most
}

// needsFile reports whether the body must go to a file.
func (in *intake) needsFile() bool {
	most := in.s.lim.MemoryContent
	return in.hint > most || in.size > most || !in.withinBudget()
}

// putBody adds a part of the body. The file that putHeader expected for it may not
// be open: other sessions may have released memory since.
func (in *intake) putBody(p []byte) {
	if in.m.file != nil {
		in.putFile(p)
		return
	}
	in.putMemory(p)
}

func (in *intake) putMemory(p []byte) {
	if in.needsFile() {
		if in.toFile(); in.refused == nil {
			in.putFile(p)
		}
		return
	}
	n := min(cap(in.chunk)-len(in.chunk), len(p))
	in.chunk = append(in.chunk, p[:n]...)
	if p = p[n:]; len(p) == 0 {
		return
	}
	if len(in.chunk) > in.start {
		in.full = append(in.full, in.chunk[in.start:])
	}
	in.newChunk(p, false)
}

// newChunk makes a chunk that starts with p. It has room only for p if p is the
// last piece or memory is short. Otherwise it has room for the declared size or
// a whole chunk.
func (in *intake) newChunk(p []byte, last bool) {
	n := int64(len(p))
	if !last && !in.text.last && in.withinBudget() {
		most := int64(firstChunk)
		if in.chunk != nil {
			most = laterChunk // so much has come that a larger chunk is worthwhile
		}
		if rest := in.hint - in.size + n; rest > 0 {
			n = max(n, min(rest, most))
		} else if in.chunk != nil {
			n = max(n, firstChunk)
		}
	}
	in.reserve(n)
	in.start = 0
	if n == int64(len(p)) {
		in.chunk = append([]byte(nil), p...) // without zeroing, unlike make
		return
	}
	in.chunk = append(make([]byte, 0, n), p...)
}

func (in *intake) reserve(n int64) {
	in.inMem += n
	in.s.srv.contentMemory.Add(n)
}

func (in *intake) release() {
	in.s.srv.contentMemory.Add(-in.inMem)
	in.inMem = 0
}

func (in *intake) withinBudget() bool {
	return in.s.srv.contentMemory.Load() <= in.s.lim.TotalMemory
}

// toFile opens the content file and moves the body so far to it.
func (in *intake) toFile() {
	f, err := in.s.srv.openContentFile()
	if err != nil {
		in.fileError(err)
		return
	}
	in.m.file = f
	in.full = append(in.full, in.chunk[in.start:])
	for _, c := range in.full {
		in.putFile(c)
	}
	in.full, in.chunk, in.start = nil, nil, 0
}

// putFile writes large pieces at once and collects small ones.
func (in *intake) putFile(p []byte) {
	if in.spill == nil {
		in.spill = spillBuffers.Get().(*[]byte)
		in.reserve(spillSize)
	}
	if len(*in.spill)+len(p) > spillSize {
		in.writeSpill()
	}
	if len(p) >= spillSize/4 && len(*in.spill) == 0 {
		in.write(p)
		return
	}
	*in.spill = append(*in.spill, p...)
}

func (in *intake) writeSpill() {
	in.write(*in.spill)
	*in.spill = (*in.spill)[:0]
}

func (in *intake) write(p []byte) {
	if in.refused != nil {
		return
	}
	n, err := in.m.file.WriteAt(p, in.fileSize)
	in.fileSize += int64(n)
	if err != nil {
		in.fileError(err)
	}
}

func (in *intake) fileError(err error) {
	// RFC 3463, 3.4: mail system full
	in.refused = &verdict{reply: refusal(452, 4, 3, 1, "Cannot store the message now"), cause: err, by: "content file"}
}

// finish completes header and body after the end of data.
func (in *intake) finish() {
	in.text.finish()
	if in.refused == nil && !in.headed {
		in.head.Scan(in.chunk[in.head.End:], true)
		in.endHeader()
	}
	if in.refused == nil && in.spill != nil {
		in.writeSpill()
	}
	if in.text.hasBare && (in.refused == nil || in.refused.discard) {
		in.refused = &verdict{reply: bareRefusal(in.text.bare), by: "limits"}
	}
	if in.text.long && in.refused == nil {
		in.refuse(refusal(554, 5, 6, 0, fmt.Sprintf("Message has a line longer than %d bytes", in.text.maxLine)))
	}
	if in.refused != nil {
		return
	}
	if in.m.file != nil {
		in.m.Body = content.Section(in.m.file, 0, in.fileSize)
		return
	}
	if len(in.full) == 0 {
		in.m.Body = content.Of(in.chunk[in.start:])
		return
	}
	in.m.Body = content.Of(append(in.full, in.chunk[in.start:])...)
}

// pause is called before the session waits for the client. If memory is short,
// it releases the buffer for the file.
func (in *intake) pause() {
	if in.spill != nil && !in.withinBudget() {
		in.writeSpill()
		in.dropSpill()
		in.reserve(-spillSize)
	}
}

func (in *intake) dropSpill() {
	if in.spill != nil {
		*in.spill = (*in.spill)[:0]
		spillBuffers.Put(in.spill)
		in.spill = nil
	}
}

// end releases the memory of the intake. The file stays open.
func (in *intake) end() {
	in.release()
	in.dropSpill()
	in.share.release()
}

// bareRefusal returns the refusal of a message that contains a bare CR, bare LF
// or NUL. Exchange uses the enhanced code 5.6.11 for it.
func bareRefusal(c byte) *smtp.SMTPError {
	name := map[byte]string{'\r': "bare CR", '\n': "bare LF", 0: "NUL"}[c]
	return refusal(550, 5, 6, 11, "Message has a "+name+"; lines must end with CRLF")
}

// openContentFile opens the file for content that is not kept in memory.
func (srv *Server) openContentFile() (*os.File, error) {
	if srv.ContentFile != nil {
		return srv.ContentFile()
	}
	f, err := os.CreateTemp("", "bridgehead-*")
	if err != nil {
		return nil, err
	}
	// The file is unlinked at once, so that it is gone when the process ends.
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
