package main

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxCell is the maximum number of characters in a cell.
const maxCell = 300

// A table prints aligned columns.
type table struct {
	right []bool // the column is aligned to the right
	rows  [][]string
	empty string // for cells without a text
}

// newTable returns a table with titles. A title that begins with ">" is that of a
// column that is aligned to the right.
func newTable(titles ...string) *table {
	t := &table{empty: "-", right: make([]bool, len(titles))}
	row := make([]string, len(titles))
	for i, title := range titles {
		row[i], t.right[i] = strings.CutPrefix(title, ">")
	}
	t.rows = append(t.rows, row)
	return t
}

// add adds a row. Its texts are made inert.
func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		if cell == "" {
			cell = t.empty
		}
		row[i] = short(inert(cell), maxCell)
	}
	t.rows = append(t.rows, row)
}

// write prints the table. Each row is one line.
func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.right))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], columns(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			fill := strings.Repeat(" ", widths[i]-columns(cell))
			if t.right[i] {
				line.WriteString(fill + cell)
			} else {
				line.WriteString(cell + fill)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// columns returns the number of columns of a terminal that an inert text needs.
func columns(s string) (n int) {
	for _, r := range s {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// short returns at most n characters of a text.
func short(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
