package content

import (
	"bytes"
	"path"
	"strconv"
	"strings"
)

const (
	zipKind  = "zip archive"
	gzipKind = "gzip archive"
	tarKind  = "tar archive"
	// messageKind is a message in a file, which programs open like an archive,
	// or a message with a transfer encoding.
	messageKind = "message"
)

// headLen is the number of bytes that are needed to recognize a file: a tar
// header.
const headLen = 512

func programType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("MZ")):
		return "application/x-msdownload"
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return "application/x-executable"
	}
	return ""
}

// archiveKind returns the kind of a file by its first bytes, or else by its names
// or media type, because programs also open an archive with other data before
// it.
func archiveKind(head []byte, names []string, mediaType string) string {
	for _, magic := range [...]string{"PK\x03\x04", "PK\x05\x06", "PK\x07\x08", "PK00PK"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return zipKind
		}
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzipKind
	case isTar(head):
		return tarKind
	}
	for _, n := range names {
		switch strings.ToLower(path.Ext(strings.TrimRight(n, ". \t\"'"))) {
		case ".zip", ".jar":
			return zipKind
		case ".gz", ".tgz":
			return gzipKind
		case ".tar":
			return tarKind
		case ".eml", ".mht", ".mhtml", ".nws":
			return messageKind
		}
	}
	switch mediaType {
	case "application/zip", "application/x-zip", "application/x-zip-compressed", "application/java-archive":
		return zipKind
	case "application/gzip", "application/x-gzip":
		return gzipKind
	case "application/tar", "application/x-tar":
		return tarKind
	}
	return ""
}

// isTar checks the checksum of the header, because old archives have no magic
// number.
func isTar(head []byte) bool {
	if len(head) < headLen {
		return false
	}
	const at, n = 148, 8
	want, err := strconv.ParseInt(strings.Trim(string(head[at:at+n]), " \x00"), 8, 64)
	if err != nil {
		return false
	}
	var unsigned, signed int64
	for i, c := range head[:headLen] {
		if at <= i && i < at+n {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return want == unsigned || want == signed
}
