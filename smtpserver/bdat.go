package smtpserver

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// cmdBDAT takes a chunk of a message (RFC 3030, 2). The client does not wait
// before it sends the chunk, so whatever is wrong with the command, the chunk
// is read before the reply, and never as commands.
func (s *Session) cmdBDAT(arg string) error {
	size, last, ok := parseBDAT(arg)
	switch {
	case !ok:
		// How many bytes follow is not known: there is no way on.
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
	if last {
		in.finish()
		return s.endMessage(in)
	}
	if v := in.refused; v != nil && !v.discard {
		// RFC 3030, 2: after a refused chunk there is only RSET; what was
		// sent on meanwhile gets 503.
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

// beginChunks is what DATA does before its 354.
func (s *Session) beginChunks(size int64) (bool, error) {
	v := s.ask(func(a *Agent) error {
		if a.Data == nil {
			return nil
		}
		return a.Data(s.ctx, s)
	})
	if v != nil && !v.discard {
		if err := s.readChunk(size, nowhere{}); err != nil {
			return false, err
		}
		_, err := s.pass(v)
		s.reset()
		return false, err
	}
	if v != nil {
		s.discarding = true
	}
	s.intake = s.newIntake()
	s.intake.text.binary = s.msg.Options.Body == smtp.BodyBinaryMIME
	s.state = chunks
	return true, nil
}

// chunkReader watches the text of chunks on its way to the intake.
type chunkReader struct{ in *intake }

func (r chunkReader) put(p []byte) { r.in.text.read(p, r.in) }

// refuseChunk reads a chunk that is not wanted and says why.
func (s *Session) refuseChunk(size int64, e *smtp.SMTPError) error {
	if err := s.readChunk(size, nowhere{}); err != nil {
		return err
	}
	if s.mailRefused {
		return s.followError(e.Code, e.EnhancedCode, e.Message)
	}
	return s.fail(e) // not counted as an error: there may be many in one batch
}

// readChunk puts exactly size bytes of input to the sink.
func (s *Session) readChunk(size int64, to sink) error {
	if size > s.maxSize || size == noLimit {
		// Not even worth reading: say so and close.
		s.refuse(&verdict{reply: refusal(552, 5, 3, 4, "Chunk is longer than any message may be"), by: "limits"})
		return errClosing
	}
	if size > s.lim.SessionBytes-s.bytes {
		return s.bye(421, smtp.EnhancedCode{4, 7, 0}, "Too many bytes in this session")
	}
	unwanted := s.newPace()
	pace := &unwanted
	if s.intake != nil {
		pace = &s.intake.pace
	}
	for size > 0 {
		if b := s.in.buffered(); len(b) > 0 {
			n := min(int64(len(b)), size)
			to.put(b[:n])
			s.in.consume(int(n))
			pace.bytes += n
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

// parseBDAT reads "size" or "size LAST". A size beyond all numbers is noLimit.
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
