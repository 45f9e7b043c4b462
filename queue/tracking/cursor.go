package tracking

import (
	"fmt"
	"strconv"
	"strings"
)

// A position is a place between two lines of the log.
type position struct {
	file     logFile // without its path
	offset   int64   // in bytes, from the beginning of the file
	backward bool    // the walk goes from here to older lines
}

// String returns the text of a position for Options.Cursor, for example
// "n20261121-3.4096". The first letter is "n" if the walk goes from newer to older
// lines, "o" if it goes from older to newer ones.
func (p position) String() string {
	order := "o"
	if p.backward {
		order = "n"
	}
	return fmt.Sprintf("%s%s-%d.%d", order, p.file.day, p.file.number, p.offset)
}

// parseCursor parses the text that String returns. It accepts no other text.
func parseCursor(s string) (position, error) {
	var p position
	bad := fmt.Errorf("tracking: %.40q is not a cursor of Find", s)
	if len(s) > 64 || s == "" {
		return p, bad
	}
	p.backward = s[0] == 'n'
	day, rest, _ := strings.Cut(s[1:], "-")
	number, offset, _ := strings.Cut(rest, ".")
	n, err1 := strconv.ParseUint(number, 10, 31)
	at, err2 := strconv.ParseUint(offset, 10, 63)
	_, err3 := strconv.ParseUint(day, 10, 31)
	if err1 != nil || err2 != nil || err3 != nil || len(day) != 8 {
		return p, bad
	}
	p.file, p.offset = logFile{day: day, number: int(n)}, int64(at)
	if p.String() != s {
		return p, bad // a sign, a leading zero, another first letter
	}
	return p, nil
}
