package tracking

import (
	"context"
	"fmt"
	"io"
)

// Options say how much a call of [Find] reads and returns.
type Options struct {
	// Limit is the maximum number of entries of a page. Default 100. More than
	// 10,000 count as 10,000.
	Limit int
	// MaxBytes is the number of bytes of the log after which a page ends. Default
	// 64 MiB. A page always reads at least one line.
	MaxBytes int64
	// OldestFirst returns the oldest entries first. Otherwise the newest are first.
	OldestFirst bool
	// Cursor is Page.Cursor of the previous page. If it is empty, the search begins
	// at the newest line, or at the oldest one with OldestFirst. OldestFirst must
	// be the same as for the previous page.
	Cursor string
}

// A Page is a part of the result of a search.
type Page struct {
	Entries []*Entry
	// Cursor is for the next page: see Options.Cursor. It stays valid while lines
	// are added to the log and files are removed from it. If Complete is set, it is
	// empty, except with OldestFirst: then the next page has the lines that were
	// added in the meantime.
	Cursor string
	// Complete means that the search has reached the last line of the log.
	// Otherwise there may be more entries, also if Entries is empty.
	Complete bool
	// Examined is the number of bytes of the log that were read for this page.
	Examined int64
	// Damaged is the number of lines that could not be read. Search returns an error
	// for each of them.
	Damaged int
}

// Default and maximum values of Options.
const (
	defaultLimit    = 100
	maxLimit        = 10_000
	defaultMaxBytes = 64 << 20
	maxPageBytes    = 16 << 20 // of the lines of the entries
)

// Find returns a page of the entries in the folder dir that f selects, the newest
// first. A page is bounded by its Options; the next call goes on after it.
//
//	o := tracking.Options{Limit: 50}
//	for {
//		page, err := tracking.Find(ctx, dir, f, o)
//		if err != nil {
//			return err
//		}
//		show(page.Entries)
//		if page.Complete {
//			break
//		}
//		o.Cursor = page.Cursor
//	}
//
// Files that have no line of the time from f.Since to f.Until are not read. Find
// assumes that the clock of the system was never set back by more than one hour.
// A line that is not written completely is ignored. If files after the Cursor were
// removed from the log, Find continues with those that are left. It returns an error
// if the Cursor is malformed, or does not fit the file that it names. If ctx
// ends, Find returns its error. Find may run while a Log writes to the folder.
func Find(ctx context.Context, dir string, f Filter, o Options) (*Page, error) {
	from := position{backward: !o.OldestFirst}
	if o.Cursor != "" {
		p, err := parseCursor(o.Cursor)
		if err != nil {
			return nil, err
		}
		if p.backward == o.OldestFirst {
			return nil, fmt.Errorf("tracking: the cursor %q is of a search with another Options.OldestFirst", o.Cursor)
		}
		from = p
	}
	files, err := logFiles(dir, f.Since)
	if err != nil {
		return nil, fmt.Errorf("tracking: %w", err)
	}
	limit, most := o.Limit, o.MaxBytes
	if limit <= 0 {
		limit = defaultLimit
	}
	if most <= 0 {
		most = defaultMaxBytes
	}
	page, sieve, kept := new(Page), newSieve(&f), int64(0)
	w := walk{
		files: files, from: from,
		outside: func(file logFile, r io.ReaderAt) bool { return file.outside(r, f.Since, f.Until) },
		visit: func(line []byte, size int64, next position) bool {
			page.Examined += size
			if sieve.passes(line) {
				switch e, err := parseLine(line); {
				case err != nil:
					page.Damaged++
				case f.selects(e):
					page.Entries = append(page.Entries, e)
					kept += size
				}
			}
			return len(page.Entries) < min(limit, maxLimit) && page.Examined < most && kept < maxPageBytes
		},
	}
	next, complete, err := w.run(ctx)
	if err != nil {
		return nil, err
	}
	page.Complete = complete
	if (!complete || o.OldestFirst) && next.file != (logFile{}) {
		page.Cursor = next.String()
	}
	return page, nil
}
