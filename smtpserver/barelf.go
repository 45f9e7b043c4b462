package smtpserver

// readBareLF is read for a client of Server.BareLFFrom, as long as every line
// of its session has ended in a bare LF. LF ends lines and LF.LF ends the data.
// Each LF becomes CRLF in the text.
//
// At the first CRLF readBareLF clears bareLF and continues with read, which
// applies the rule for all clients. If lines of the message have already ended
// in bare LFs, the message then contains bare LFs and is handled accordingly.
// If the line that ends in this first CRLF is a single dot, the dot does not
// end the data, because the line before it did not end in CRLF. It is part of
// the text.
func (t *textReader) readBareLF(p []byte, to sink) (n int, end bool) {
	out := make([]byte, 0, len(p)+len(p)/8+16)
	for i, c := range p {
		switch {
		case c == '\n' && t.state == afterDot:
			to.put(out)
			return i + 1, true
		case c == '\n' && (t.state == afterCR || t.state == afterDotCR):
			if t.state == afterDotCR {
				out, t.sawLF = append(out, '.'), true
			}
			to.put(t.endLine(out))
			*t.bareLF = false
			if t.sawLF {
				t.noteBare('\n')
			}
			n, end = t.read(p[i+1:], to)
			return i + 1 + n, end
		case c == '\n':
			out, t.sawLF = t.endLine(out), true
		case c == '.' && t.state == lineStart && t.dots:
			t.state = afterDot
		case c == '\r' && t.state == afterDot:
			t.state = afterDotCR
		default:
			if t.state == afterCR || t.state == afterDotCR {
				t.noteBare('\r') // it was bare
			}
			t.state = inLine
			switch c {
			case '\r':
				t.state = afterCR
			case 0:
				t.noteBare(c)
			default:
				out = append(out, c)
				t.count(1)
			}
		}
	}
	to.put(out)
	return len(p), false
}

// endLine adds the end of a line to the text.
func (t *textReader) endLine(out []byte) []byte {
	t.count(2)
	t.state, t.line = lineStart, 0
	return append(out, '\r', '\n')
}

// noteBare records a bare byte, unless BareNormalize applies.
func (t *textReader) noteBare(c byte) {
	if !t.fix {
		t.found(c)
	}
}
