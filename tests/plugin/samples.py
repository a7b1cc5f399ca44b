"""Small rasters and layers with known content, and feedback that remembers, for the plugin's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from osgeo import gdal, osr
from qgis.core import QgsCoordinateTransformContext, QgsFeature, QgsGeometry, QgsProcessingFeedback, QgsVectorFileWriter, QgsVectorLayer

gdal.UseExceptions()

TILE_FIELDS = "field=tile:int&field=probability_mean:double&field=probability_max:double&field=area_m2:double&field=coverage:double"


class Listener(QgsProcessingFeedback):
    """Feedback that remembers what it was told, and cancels at a progress text where told to."""

    def __init__(self, cancel_at: str | None = None) -> None:
        super().__init__(False)
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.doing: list[str] = []
        self._cancel_at = cancel_at

    def pushInfo(self, info: str) -> None:
        self.infos.append(info)

    def pushWarning(self, warning: str) -> None:
        self.warnings.append(warning)

    def setProgressText(self, text: str) -> None:
        self.doing.append(text)
        if text == self._cancel_at:
            self.cancel()


def write_raster(path: Path, bands: Any, names: tuple[str, ...] = ()) -> Path:
    """(bands, rows, cols) as a GeoTIFF in UTM 45 N, pixels of 10 m, upper left corner at 600000, 3100000."""
    kinds = {"uint16": gdal.GDT_UInt16, "float32": gdal.GDT_Float32, "uint8": gdal.GDT_Byte}
    count, rows, columns = bands.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), columns, rows, count, kinds[bands.dtype.name])
    dataset.SetGeoTransform((600000.0, 10.0, 0.0, 3100000.0, 0.0, -10.0))
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(32645)
    dataset.SetProjection(crs.ExportToWkt())
    for number, band in enumerate(bands, 1):
        dataset.GetRasterBand(number).WriteArray(band)
        if names:
            dataset.GetRasterBand(number).SetDescription(names[number - 1])
    dataset.FlushCache()
    return path


def square(left: float, bottom: float, side: float) -> str:
    """WKT of a square, map units."""
    right, top = left + side, bottom + side
    return f"POLYGON(({left} {bottom},{right} {bottom},{right} {top},{left} {top},{left} {bottom}))"


def polygon_layer(fields: str, rows: list[tuple[str, list[Any]]]) -> QgsVectorLayer:
    """A memory layer of polygons, UTM 45 N."""
    layer = QgsVectorLayer(f"Polygon?crs=EPSG:32645&{fields}", "polygons", "memory")
    for wkt, attributes in rows:
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        feature.setAttributes(attributes)
        layer.dataProvider().addFeature(feature)
    return layer


def tile_polygon_layer() -> QgsVectorLayer:
    """Squares of 200 m (tile 0) and 300 m (tile 1) that overlap by 100 m x 200 m, and one of 100 m (tile 7) far away."""
    return polygon_layer(
        TILE_FIELDS,
        [
            (square(600000, 3100000, 200), [0, 0.7, 0.9, 40000.0, 2.0]),
            (square(600100, 3100000, 300), [1, 0.6, 0.8, 90000.0, 2.0]),
            (square(605000, 3100000, 100), [7, 0.9, 0.95, 10000.0, 2.0]),
        ],
    )


def save(layer: QgsVectorLayer, path: Path) -> Path:
    """The layer as a file."""
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.layerName = path.stem
    error = QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(path), QgsCoordinateTransformContext(), options)
    assert error[0] == QgsVectorFileWriter.WriterError.NoError, error
    return path


def rows_of(path: str | Path) -> list[dict[str, Any]]:
    """The attributes of a vector file's features, with the geometry's type under ``geometry``."""
    layer = QgsVectorLayer(str(path), "", "ogr")
    assert layer.isValid(), path
    return [{**feature.attributeMap(), "geometry": feature.geometry()} for feature in layer.getFeatures()]


def write_chip(path, pixels):
    """(bands, rows, cols) of 8 bits as PNG."""
    memory = gdal.GetDriverByName("MEM").Create("", pixels.shape[2], pixels.shape[1], len(pixels), gdal.GDT_Byte)
    memory.WriteArray(pixels if len(pixels) > 1 else pixels[0])
    gdal.GetDriverByName("PNG").CreateCopy(str(path), memory)
