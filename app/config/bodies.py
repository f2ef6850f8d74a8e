"""The limits of request bodies: a middleware for their size, and an upload handler that refuses files."""

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from config.problems import refused


class BodyLimitMiddleware(MiddlewareMixin):
    """Refuse a body that is too large, or whose size is unknown, by its headers: no byte of it is read."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if "HTTP_TRANSFER_ENCODING" in request.META and length == "0":
            return refused(request, 411, "The size of the body is unknown. Send Content-Length, without chunks.")
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if length.isdecimal() and int(length) > limit:
            return refused(request, 413, f"The body has more than {limit} bytes. Send it in several requests.")
        return None


class RefuseFiles(FileUploadHandler):
    """Refuse each file of a form: no view of this service takes one. A form without files passes."""

    def new_file(self, *args: object, **kwargs: object) -> None:
        raise SuspiciousOperation("The form has a file, and this service takes no files.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Receive nothing: `new_file` refuses before a chunk arrives."""

    def file_complete(self, file_size: int) -> None:
        """Complete nothing: `new_file` refuses before a chunk arrives."""
