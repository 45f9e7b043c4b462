package smtpserver

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// cmdBDAT receives a chunk of a message (RFC 3030, 2). The client sends the
// chunk without waiting for a reply. If the command is refused, the server
// therefore reads the chunk before it replies, and never interprets it as
// commands.
func (s *Session) cmdBDAT(arg string) error {
	size, last, ok := parseBDAT(arg)
	switch {
	case !ok:
		// The length of the chunk is unknown, so the session must end.
		s.refuse(&verdict{reply: refusal(501, 5, 5, 4, "Syntax: BDAT size [LAST]"), by: "protocol"})
		return errClosing
	case !s.srv.has(ExtChunking):
		s.refuse(&verdict{reply: refusal(502, 5, 5, 1, "BDAT is not implemented"), by: "protocol"})
		return errClosing
	case s.mustStartTLS():
		return s.refuseChunk(size, refusal(530, 5, 7, 0, "Must issue a STARTTLS command first"))
	case s.state == mail && s.refusedTo:
		return s.refuseChunk(size, refusal(554, 5, 5, 1, "No valid recipients"))
	case s.state != rcpt && s.state != chunks:
		return s.refuseChunk(size, refusal(503, 5, 5, 1, "Need MAIL and RCPT before BDAT"))
	}
	if s.intake == nil {
		if ok, err := s.beginChunks(size); !ok {
			return err
		}
	}
	in := s.intake
	if err := s.readChunk(size, chunkReader{in}); err != nil {
		return err
	}
	if s.givenUp() {
		return s.endShort()
	}
	if last {
		in.finish()
		return s.endMessage(in)
	}
	if v := in.refused; v != nil && !v.discard {
		// RFC 3030, 2: after a refused chunk the client must send RSET.
		// Chunks that it has already sent get 503.
		s.refuse(v)
		s.reset()
		if v.close {
			return errClosing
		}
		return nil
	}
	s.reply(250, smtp.EnhancedCode{2, 0, 0}, strconv.FormatInt(size, 10)+" bytes received")
	return nil
}

// beginChunks does for the first chunk what cmdDATA does before its 354 reply.
func (s *Session) beginChunks(size int64) (bool, error) {
	v := s.ask(func(a *Agent) error {
		if a.Data == nil {
			return nil
		}
		return a.Data(s.ctx, s)
	})
	if v != nil && !v.discard {
		if err := s.readChunk(size, discardText{}); err != nil {
			return false, err
		}
		_, err := s.pass(v)
		s.reset()
		return false, err
	}
	if v != nil {
		s.discard(v.by)
	}
	s.intake = s.newIntake()
	s.intake.text.binary = s.msg.Options.Body == smtp.BodyBinaryMIME
	s.state = chunks
	s.show(live.StateData, s.intake.pace.began)
	return true, nil
}

// chunkReader is a sink that passes the text of chunks to the intake.
type chunkReader struct{ in *intake }

func (r chunkReader) put(p []byte) { r.in.text.read(p, r.in) }

// refuseChunk reads and drops a chunk, and then refuses it.
func (s *Session) refuseChunk(size int64, e *smtp.SMTPError) error {
	if err := s.readChunk(size, discardText{}); err != nil {
		return err
	}
	if s.mailRefused {
		return s.followError(e.Code, e.EnhancedCode, e.Message)
	}
	return s.fail(e) // it does not count as an error, because there may be many in one batch
}

// readChunk writes exactly size bytes of input to the sink.
func (s *Session) readChunk(size int64, to sink) error {
	if size > s.maxSize || size == noLimit {
		// It would take too long to read.
		s.refuse(&verdict{reply: refusal(552, 5, 3, 4, "Chunk is longer than the maximum message size"), by: "limits"})
		return errClosing
	}
	if size > s.lim.SessionBytes-s.bytes {
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many bytes in this session")
	}
	dropped := s.newPace()
	pace := &dropped
	if s.intake != nil {
		pace = &s.intake.pace
	}
	for size > 0 {
		if b := s.in.buffered(); len(b) > 0 {
			n := min(int64(len(b)), size)
			to.put(b[:n])
			s.in.consume(int(n))
			pace.bytes += n
			s.credit += s.contentCredit(int(n))
			s.bytes += n
			size -= n
			continue
		}
		if err := s.waitData(pace); err != nil {
			return err
		}
	}
	return nil
}

// parseBDAT parses "size" or "size LAST". If size does not fit an int64, the
// result is noLimit.
func parseBDAT(arg string) (size int64, last, ok bool) {
	n, end := nextWord(arg)
	if end != "" && !strings.EqualFold(end, "LAST") {
		return 0, false, false
	}
	if n == "" || strings.Trim(n, "0123456789") != "" {
		return 0, false, false
	}
	size, err := strconv.ParseInt(n, 10, 64)
	if err != nil { // out of range
		size = noLimit
	}
	return size, end != "", true
}
