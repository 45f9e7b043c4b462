package mimetree

import (
	"errors"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

var errCharset = errors.New("mimetree: the charset cannot be read")

// charsetOf is a charset by its name. The WHATWG has every octet of some
// replaced: here these are none, because other programs do read them.
func charsetOf(name string) (encoding.Encoding, error) {
	e, err := htmlindex.Get(name)
	if err == nil && e == encoding.Replacement {
		return nil, errCharset
	}
	return e, err
}

// maxUTF7 is as much of a text in UTF-7 as is decoded.
const maxUTF7 = 4 << 20

// CharsetReader makes UTF-8 of a charset; an error if it is not known.
func CharsetReader(charset string, r io.Reader) (io.Reader, error) {
	if isUTF7(charset) {
		b, err := io.ReadAll(io.LimitReader(r, maxUTF7))
		if len(b) == 0 && err != nil {
			return nil, err
		}
		return strings.NewReader(decodeUTF7(string(b))), nil // what comes before an error counts
	}
	e, err := charsetOf(charset)
	if err != nil {
		return nil, err
	}
	return e.NewDecoder().Reader(r), nil
}

// decodeCharset makes UTF-8 of a text. sure is false if other programs may read
// another text: the charset is not known here, and is not based on ASCII.
func decodeCharset(charset, s string) (text string, sure bool) {
	if isUTF7(charset) {
		return decodeUTF7(s), true
	}
	e, err := charsetOf(charset)
	if err != nil {
		return s, ASCIIBased(charset)
	}
	if u, err := e.NewDecoder().String(s); err == nil {
		// "utf-16" does not say which octet of two comes first.
		marked := strings.HasPrefix(s, "\xfe\xff") || strings.HasPrefix(s, "\xff\xfe")
		return u, marked || !strings.EqualFold(charset, "utf-16")
	}
	return s, true
}

// notASCII matches names of charsets in which octets of ASCII may be something
// else: those of two and four octets, those with shifts, UTF-7, EBCDIC, and what
// Python calls a charset. EBCDIC's are IBM's code pages.
var notASCII = regexp.MustCompile(`utf_?-?(7|16|32)|unicode|ucs|10646|2022|^hz|ebcdic|punycode|idna|rot.?13|hex|base64|uu|` +
	`^(cs)?(ibm|cp|x-ibm|ibm-)-?0?(037|27[378]|28[0-57]|290|297|420|42[34]|500|838|87[0158]|880|905|918|924|93[035793]|939|1025|1026|1047|1097|11[1234][0-9])$`)

// ASCIIBased says whether the octets of ASCII are ASCII in a charset. Those that
// are not known are taken to be like all but a few.
func ASCIIBased(charset string) bool {
	return !notASCII.MatchString(strings.ToLower(charset))
}
