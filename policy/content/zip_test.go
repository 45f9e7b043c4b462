package content

import (
	"archive/zip"
	"bytes"
	"testing"
)

func FuzzArchive(f *testing.F) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("a.txt")
	if err != nil {
		f.Fatal(err)
	}
	w.Write([]byte("hello"))
	z.SetComment("PK\x05\x06 is not the end")
	z.Close()
	f.Add(b.Bytes())
	f.Add([]byte("PK\x05\x06" + string(make([]byte, 18))))
	f.Add([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffname\x00"))
	f.Add(append(make([]byte, tarMagic), "ustar\x0000"...))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &Attachments{Names: []string{"*.exe"}, Types: []string{"application/x-executable"}}
		l := &look{a: a, bytes: 1 << 16, entries: 20, depth: 3}
		kind := archiveKind(data)
		if kind == "" {
			return
		}
		l.archive(kind, bytes.NewReader(data), l.depth)
		if l.bytes < 0 {
			t.Fatalf("%d bytes too many were unpacked", -l.bytes)
		}
		if es, err := zipDirectory(data, 20); err == nil && len(es) > 20 {
			t.Fatalf("%d entries", len(es))
		}
	})
}
