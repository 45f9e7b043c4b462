package content

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/doubling"
)

// Twice the input takes about twice the time, for each function and each repeated text.
func TestDoubling(t *testing.T) {
	a := &Attachments{Names: []string{"*.exe", "*.j?"}, Types: []string{"video/*"}, ArchiveEntries: 1 << 20}
	archive := func(kind, data string) {
		l := a.look(t.Context(), make(chan struct{}, 1))
		defer l.leave()
		l.bytes, l.entries = 1<<30, a.maxEntries()
		l.archive(kind, nil, strings.NewReader(data))
	}
	end := "PK\x05\x06" + strings.Repeat("\x00", zipEndLen-4)
	units := append([]string{
		"PK\x05\x06", end, "PK\x01\x02" + strings.Repeat("\x00", zipDirectoryLen-4), "PK\x03\x04" + strings.Repeat("\x00", zipLocalLen-4),
		"PK\x03\x04", "PK", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffa\x00",
	}, doubling.Units...)
	doubling.Time(t, map[string]func(string){
		"zip names":          func(s string) { zipNames([]byte(s), 1<<20) },
		"zip directory":      func(s string) { zipDirectory([]byte(s+end), 1<<20) },
		"zip":                func(s string) { archive(zipKind, s) },
		"zip, end":           func(s string) { archive(zipKind, s+end) },
		"gzip":               func(s string) { archive(gzipKind, "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff"+s) },
		"tar":                func(s string) { archive(tarKind, s) },
		"message":            func(s string) { archive(messageKind, s) },
		"kind of an archive": func(s string) { archiveKind([]byte(s), []string{s}, s) },
		"name":               func(s string) { a.nameMatches(s) },
	}, units)
}

// An archive with twice the entries takes about twice the time.
func TestDoublingEntries(t *testing.T) {
	a := &Attachments{Names: []string{"*.exe"}, ArchiveEntries: 1 << 20}
	check := func(kind string, data []byte) {
		l := a.look(t.Context(), make(chan struct{}, 1))
		defer l.leave()
		l.bytes, l.entries = 1<<30, a.maxEntries()
		if v, err := l.archive(kind, nil, bytes.NewReader(data)); err != nil || v.name != "" {
			t.Fatalf("%s: %+v, %v", kind, v, err)
		}
	}
	doubling.Time(t, map[string]func(string){
		"zip":              func(s string) { check(zipKind, zipOf(len(s)/128, "a%d.txt")) },
		"zip, equal names": func(s string) { check(zipKind, zipOf(len(s)/128, "a.txt%.0d")) },
		"zip of archives":  func(s string) { check(zipKind, zipOf(len(s)/128, "a%d.tar")) },
		"tar":              func(s string) { check(tarKind, tarOf(len(s)/512)) },
	}, []string{"a"})
}

// zipOf returns a zip file with n entries.
func zipOf(n int, name string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n {
		w, _ := z.Create(fmt.Sprintf(name, i)) // a Buffer has no errors
		if strings.HasSuffix(name, ".tar") {
			w.Write(tarOf(1))
		}
	}
	z.Close()
	return b.Bytes()
}

// tarOf returns a tar file with n entries.
func tarOf(n int) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range n {
		w.WriteHeader(&tar.Header{Name: fmt.Sprintf("a%d.txt", i), Mode: 0o600})
	}
	w.Close()
	return b.Bytes()
}
