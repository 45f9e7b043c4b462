package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// Open returns an error for options that are out of range. The error names the
// option, its value and its range, and the directory is not created.
func TestOptions(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		o    *Options
		want string
	}{
		{&Options{SegmentSize: -1}, "spool: Options.SegmentSize is -1: must be from 65536 to 1073741824 bytes"},
		{&Options{SegmentSize: 64}, "spool: Options.SegmentSize is 64: must be from 65536 to 1073741824 bytes"}, // not MiB
		{&Options{SegmentSize: 1<<30 + 1}, "spool: Options.SegmentSize is 1073741825: must be from 65536 to 1073741824 bytes"},
		{&Options{LargeContent: -1}, "spool: Options.LargeContent is -1: must be from 1 to 16777216 bytes, a quarter of SegmentSize"},
		{&Options{LargeContent: 16*mib + 1}, "spool: Options.LargeContent is 16777217: must be from 1 to 16777216 bytes, a quarter of SegmentSize"},
		{&Options{SegmentSize: mib, LargeContent: mib}, "spool: Options.LargeContent is 1048576: must be from 1 to 262144 bytes, a quarter of SegmentSize"},
		{&Options{DamagedBytes: -2}, "spool: Options.DamagedBytes is -2: only -1 means no limit, other negative numbers are not allowed"},
		{&Options{DamagedFiles: -50}, "spool: Options.DamagedFiles is -50: only -1 means no limit, other negative numbers are not allowed"},
		{&Options{SegmentSize: 1, LargeContent: -7, DamagedFiles: -2}, "spool: Options.SegmentSize is 1: must be from 65536 to 1073741824 bytes" +
			"\nspool: Options.LargeContent is -7: must not be negative" +
			"\nspool: Options.DamagedFiles is -2: only -1 means no limit, other negative numbers are not allowed"},

		{nil, ""},
		{&Options{}, ""},
		{&Options{SegmentSize: 64 << 10}, ""}, // the default of LargeContent is then smaller
		{&Options{SegmentSize: 64 << 10, LargeContent: 16 << 10}, ""},
		{&Options{LargeContent: 1}, ""},
		{&Options{DamagedBytes: -1, DamagedFiles: -1}, ""},
	} {
		dir := filepath.Join(t.TempDir(), "spool")
		s, err := Open(dir, c.o)
		if c.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.o, err)
			} else if err := s.Close(); err != nil {
				t.Errorf("%+v: Close: %v", c.o, err)
			}
			continue
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v\ngot  %v\nwant %s", c.o, err, c.want)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%+v: the directory was created", c.o)
		}
	}
}

// The default of LargeContent is never larger than a quarter of a segment.
func TestDefaultLargeContent(t *testing.T) {
	for segment, want := range map[int64]int64{0: 256 << 10, 64 << 10: 16 << 10, 1 << 30: 256 << 10} {
		if s := newSpool("spool", &Options{SegmentSize: segment}, newSimFS(1)); s.largeContent != want {
			t.Errorf("SegmentSize %d: %d, want %d", segment, s.largeContent, want)
		}
	}
}
