package smtpserver

// readBareLF is read for a client of Server.BareLFFrom, as long as every line of
// its session has ended in a bare LF: LF ends lines and LF.LF the data. CRLF is
// made of each LF.
//
// The first CRLF clears bareLF, and read goes on by the rule for all clients.
// A message in which bare LFs ended lines before has bare bytes then. A dot
// whose line is the first to end in CRLF does not end the data, because the line
// before it did not end in CRLF: it is a dot of the text.
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
				t.mend('\n')
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
				t.mend('\r') // it was bare
			}
			t.state = inLine
			switch c {
			case '\r':
				t.state = afterCR
			case 0:
				t.mend(c)
			default:
				out = append(out, c)
				t.count(1)
			}
		}
	}
	to.put(out)
	return len(p), false
}

// endLine ends a line of the text.
func (t *textReader) endLine(out []byte) []byte {
	t.count(2)
	t.state, t.line = lineStart, 0
	return append(out, '\r', '\n')
}

// mend notes a bare byte that is left out of the text, or, if it is an LF, has
// become a CRLF; BareNormalize wants just that.
func (t *textReader) mend(c byte) {
	if !t.fix {
		t.found(c)
	}
}
