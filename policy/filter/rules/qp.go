package rules

// decodeQP decodes at most n octets of quoted-printable text (RFC 2045, 6.7). at
// is the offset in raw of the next octet. Malformed sequences are kept, as mail
// programs do.
func decodeQP(raw []byte, n int) (text []byte, at int) {
	text = make([]byte, 0, min(n, len(raw)))
	for at < len(raw) && len(text) < n {
		switch c := raw[at]; c {
		case '=':
			if end, ok := lineEnd(raw, at+1); ok { // a soft line break
				at = end
				continue
			}
			if hi, lo := hexDigit(raw, at+1), hexDigit(raw, at+2); hi >= 0 && lo >= 0 {
				text = append(text, byte(hi<<4|lo))
				at += 3
				continue
			}
			text = append(text, c)
			at++
		case ' ', '\t':
			end := at
			for end < len(raw) && (raw[end] == ' ' || raw[end] == '\t') {
				end++
			}
			if _, ok := lineEnd(raw, end); ok { // rule 3: it is not part of the text
				at = end
				continue
			}
			for ; at < end && len(text) < n; at++ {
				text = append(text, raw[at])
			}
		default:
			text = append(text, c)
			at++
		}
	}
	return text, at
}

// lineEnd reports whether only white space comes before the end of the line or of
// the text. next is the offset of the next line.
func lineEnd(raw []byte, at int) (next int, ok bool) {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\t') {
		at++
	}
	switch {
	case at >= len(raw):
		return len(raw), true
	case raw[at] == '\n':
		return at + 1, true
	case raw[at] == '\r' && at+1 < len(raw) && raw[at+1] == '\n':
		return at + 2, true
	}
	return 0, false
}

func hexDigit(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c&^0x20 && c&^0x20 <= 'F':
		return int(c&^0x20-'A') + 10
	}
	return -1
}
